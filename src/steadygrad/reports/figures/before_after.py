"""Accuracy against the radius before and after hardening."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from steadygrad.attacks.ball import Norm
from steadygrad.evaluation import AccuracyCurve
from steadygrad.reports.figures.canvas import (
    MUTED,
    add_legend,
    new_figure,
    series_styles,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["before_after_figure"]


def before_after_figure(
    curves: Mapping[str, AccuracyCurve], eps: float, norm: Norm, title: str
) -> "Figure":
    """Draw curves in percent against the radius, with Wilson 95 % bands.

    A radius in L-infinity is in units of 1/255, one in L2 the length of the change.

    Args:
        curves: by what they are called, such as "before" and "after".
        eps: the radius that the network was hardened for, marked by a vertical line.
        norm: of the radii.
        title: stands above.
    """
    looks = series_styles(curves)
    unit, x_label = (
        (1, "length of the change eps (L2)")
        if norm == "l2"
        else (255, "perturbation radius eps (1/255 of the pixel range)")
    )
    with style():
        figure = new_figure(6.4, 3.8)
        axes = figure.subplots()
        handles = []
        for name, curve in curves.items():
            look = looks[name]
            radii = [unit * point.eps for point in curve.points]
            low, high = ([100 * point.ci95[end] for point in curve.points] for end in (0, 1))
            axes.fill_between(radii, low, high, color=look.color, alpha=0.16, linewidth=0)
            handles += axes.plot(
                radii,
                [100 * point.accuracy for point in curve.points],
                color=look.color,
                linestyle=look.line,
                marker=look.marker,
            )
        axes.axvline(unit * eps, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
        axes.set_title(title, parse_math=False)
        axes.set_xlabel(x_label)
        axes.set_ylabel("accuracy (%)")
        axes.set_ylim(0, 100)
        add_legend(figure, handles, list(curves), loc="outside right upper")
    return figure

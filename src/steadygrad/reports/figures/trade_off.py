"""Robust accuracy against clean accuracy, a point for each network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from steadygrad.reports.figures.canvas import add_legend, new_figure, series_styles, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["trade_off_figure"]


def trade_off_figure(points: Sequence[tuple[float, float, bool]]) -> "Figure":
    """Draw networks as (clean, robust, chosen): accuracies in percent, and whether it is the best.

    points: in the order of the penalty's strength, joined in it.
    """
    looks = series_styles(["all", "best"])
    with style():
        figure = new_figure(5.2, 3.8)
        axes = figure.subplots()
        handles = axes.plot(
            [clean for clean, _, _ in points],
            [robust for _, robust, _ in points],
            color=looks["all"].color,
            marker=looks["all"].marker,
            linestyle=looks["all"].line,
        )
        names = ["trials, by the penalty's radius"]
        for clean, robust, chosen in points:
            if chosen:
                handles += axes.plot(
                    [clean],
                    [robust],
                    color=looks["best"].color,
                    marker=looks["best"].marker,
                    markersize=11,
                    linestyle="none",
                )
                names.append("the best that meets the target")
        axes.set_xlabel("clean accuracy (%)")
        axes.set_ylabel("robust accuracy at the radius (%)")
        add_legend(figure, handles, names, loc="outside lower center")
    return figure

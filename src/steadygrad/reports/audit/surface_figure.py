"""The margin of a few examples over a plane through their image: the loss surface as a map."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steadygrad.attacks.ball import Norm
from steadygrad.evaluation.masking import Finding
from steadygrad.evaluation.masking.loss_surface import LossSurface
from steadygrad.reports.figures.canvas import INK, new_figure, style
from steadygrad.reports.figures.gallery import class_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure

__all__ = ["stored_surfaces", "surface_figure"]

LEVELS = 30
"""Steps of colour, at most; half of them for right and half for wrong."""


def stored_surfaces(findings: Sequence[Finding]) -> list[LossSurface]:
    """Return the surfaces that stand in the evidence of the findings."""
    return [
        LossSurface.from_json(values)
        for finding in findings
        for values in finding.evidence.get("surfaces", ())
    ]


def surface_figure(
    surfaces: Sequence[LossSurface], norm: Norm, class_names: tuple[str, ...] | None = None
) -> "Figure":
    """Draw the margin over offsets along the gradient (across) and a random direction (upwards).

    Blue: the model is right, by that many logits; red: it is wrong; the line between them is the
    border. Dashed: what the ball of radius eps holds of the plane, eps being the axes' unit.
    surfaces: at least one; each has a panel, all share the colours.
    """
    from matplotlib.ticker import MaxNLocator

    with style():
        figure = new_figure(1.2 + 3.2 * len(surfaces), 3.7)
        panels = figure.subplots(1, len(surfaces), squeeze=False, sharey=True)[0]
        largest = max(abs(value) for s in surfaces for row in s.margin for value in row) or 1.0
        levels = list(MaxNLocator(nbins=LEVELS, symmetric=True).tick_values(-largest, largest))
        for axes, surface in zip(panels, surfaces, strict=True):
            drawn = _panel(axes, surface, levels)
            _ball(axes, norm)
            title = f"image {surface.example}, class {class_name(surface.label, class_names)}"
            axes.set_title(title, parse_math=False)
        panels[0].set_ylabel("along a random direction (eps)")
        bar = figure.colorbar(drawn, ax=list(panels), shrink=0.85, aspect=18)
        bar.set_label("margin (logits)")
        every = max(1, len(levels) // 10)
        bar.set_ticks(levels[len(levels) // 2 % every :: every])
    return figure


def _panel(axes: "Axes", surface: LossSurface, levels: list[float]) -> "QuadContourSet":
    from matplotlib.ticker import MaxNLocator

    offsets = [offset / surface.eps for offset in surface.offsets]
    drawn = axes.contourf(offsets, offsets, surface.margin, levels=levels, cmap="RdBu")
    margins = [value for row in surface.margin for value in row]
    if min(margins) < 0 < max(margins):
        axes.contour(offsets, offsets, surface.margin, levels=[0.0], colors=[INK], linewidths=1.4)
    axes.plot([0], [0], marker="o", color=INK, markersize=4)
    axes.set_aspect("equal")
    axes.set_xlabel("along the gradient (eps)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.grid(visible=False)
    return drawn


def _ball(axes: "Axes", norm: Norm) -> None:
    """Draw the ball: in L-infinity a diamond, since both directions move every pixel by its all."""
    turns = [2 * math.pi * step / 120 for step in range(121)]
    points = [(math.cos(turn), math.sin(turn)) for turn in turns]
    if norm == "linf":
        points = [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 0)]
    axes.plot(*zip(*points, strict=True), color=INK, linewidth=1.0, linestyle=(0, (3, 2)))

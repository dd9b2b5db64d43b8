"""Figures of an audit: accuracy under each attack, and the loss surface around examples."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steadygrad.attacks.ball import Norm
from steadygrad.evaluation import AccuracyPoint
from steadygrad.evaluation.masking import Finding
from steadygrad.evaluation.masking.loss_surface import LossSurface
from steadygrad.reports.audit.words import AttackRow
from steadygrad.reports.figures.canvas import INK, MUTED, literal_text, new_figure, style
from steadygrad.reports.figures.images import class_name
from steadygrad.reports.figures.names import wrapped_names
from steadygrad.reports.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.contour import (
        QuadContourSet,
    )
    from matplotlib.figure import (
        Figure,
    )

__all__ = ["attack_figure", "stored_surfaces", "surface_figure"]


BLUE, RED = "#0072b2", "#a33c00"


ROW_INCHES = 0.34


def attack_figure(
    clean: AccuracyPoint,
    rows: Sequence[AttackRow],
    worst_case: AccuracyPoint,
    chance: float | None = None,
) -> "Figure":
    """Draw accuracy in percent, one line an attack: a dot with Wilson's 95 % interval.

    Accuracy without attack stands first, the worst case over all attacks, an image counting as
    wrong if any of them misleads it, last. An attack on survivors is an arrow from the share that
    was still right before it to the share still right after it; one on a selection has words alone.
    chance: accuracy of guessing, marked by a line; None draws none.
    """
    count = len(rows) + 2
    with style():
        figure = new_figure(7.6, 0.95 + ROW_INCHES * count)
        axes = figure.subplots()
        _dot(axes, 0, clean, color=MUTED, marker="o", note=percent(clean.accuracy))
        for line, row in enumerate(rows, start=1):
            if row.point is None:
                _step(axes, line, row)
            else:
                _dot(
                    axes, line, row.point, color=BLUE, marker="o", note=percent(row.point.accuracy)
                )
        _dot(axes, count - 1, worst_case, color=RED, marker="D", note=percent(worst_case.accuracy))
        if chance is not None:
            _guessing(axes, chance)
        titles = wrapped_names((row.title for row in rows), 40)
        names = ["no attack", *titles, "worst case over all"]
        axes.set_yticks(range(count), names)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(count - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("accuracy (%)")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.axhline(count - 1.5, color=MUTED, linewidth=0.8)
        literal_text(axes)
    return figure


def _guessing(axes: "Axes", chance: float) -> None:
    axes.axvline(100 * chance, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate(
        "guessing",
        xy=(100 * chance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=MUTED,
    )


def _dot(
    axes: "Axes", line: int, point: AccuracyPoint, *, color: str, marker: str, note: str
) -> None:
    low, high = (100 * end for end in point.ci95)
    axes.plot([low, high], [line, line], color=color, linewidth=2.2, alpha=0.45)
    axes.plot(
        [100 * point.accuracy],
        [line],
        marker=marker,
        color=color,
        markersize=6.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,
        zorder=3,
    )
    _note(axes, line, low, high, note, color)


def _step(axes: "Axes", line: int, row: AttackRow) -> None:
    if row.standing is None:
        _note(axes, line, 0, 0, row.outcome_text, BLUE)
        return
    before, after = (100 * right / row.n for right in (row.standing, row.standing - row.broken))
    axes.plot([after, before], [line, line], color=BLUE, linewidth=1.3, linestyle=(0, (2, 1.5)))
    axes.plot(
        [after],
        [line],
        marker="<" if row.broken else "o",
        color="white",
        markersize=6.5,
        markeredgecolor=BLUE,
        markeredgewidth=1.4,
        clip_on=False,
        zorder=3,
    )
    _note(axes, line, after, before, row.outcome_text, BLUE)


def _note(axes: "Axes", line: int, low: float, high: float, text: str, color: str) -> None:
    """Write a value beside its mark, on the side that has more room."""
    is_right = high < 60
    axes.annotate(
        text,
        xy=(high if is_right else low, line),
        xytext=(8 if is_right else -8, 0),
        textcoords="offset points",
        ha="left" if is_right else "right",
        va="center",
        fontsize=8.5,
        color=INK if color == MUTED else color,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=2,
    )


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

"""Covariance against the distance between two pixels, with the decay length marked."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import PerturbationStructure
from steadygrad.reports.figures.canvas import INK, MUTED, add_legend, new_figure, style
from steadygrad.reports.series_style import LineStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["covariance_function_figure"]

CHANNEL_COLORS = ("#c23b22", "#2e8b57", "#1f6fb2")
CHANNEL_NAMES = ("red", "green", "blue")
PAIR_COLORS = ("#b8860b", "#8e44ad", "#168a9c")
LINES: tuple[LineStyle, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))


def covariance_function_figure(structures: Mapping[str, PerturbationStructure]) -> "Figure":
    """Draw the functions of each structure, in a line style of its own, per channel or pair.

    Left: within a channel; right, where there are several channels: between two. A dot marks the
    decay length of the mean over the channels, where it has fallen to 1/e of its value at 0.
    Images of other than one or three channels show that mean alone.
    Raises: HyperparameterError, without structures, with more than four, or of different shapes.
    Source: Roth et al., arXiv:1805.08736, Fig. 2.
    """
    if not 1 <= len(structures) <= len(LINES):
        raise HyperparameterError(f"expected 1 to {len(LINES)} structures, got {len(structures)}")
    shapes = {structure.image_shape for structure in structures.values()}
    if len(shapes) > 1:
        raise HyperparameterError(f"expected structures of one image shape, got {sorted(shapes)}")
    ((channels, height, width),) = shapes
    farthest = max(height, width)
    with style():
        figure = new_figure(8.6 if channels > 1 else 5.6, 3.9)
        panels = figure.subplots(1, 2 if channels > 1 else 1, squeeze=False, sharey=True)[0]
        within = [structure.intra_channel[:, :farthest] for structure in structures.values()]
        _draw(panels[0], within, CHANNEL_COLORS if channels == 3 else (INK,))
        _mark(panels[0], within, [structure.intra_reach for structure in structures.values()])
        if channels > 1:
            between = [structure.inter_channel[:, :farthest] for structure in structures.values()]
            _draw(panels[1], between, PAIR_COLORS if channels == 3 else (INK,))
            _mark(panels[1], between, [structure.inter_reach for structure in structures.values()])
        _label(panels[0], "Within a channel")
        panels[0].set_ylabel("covariance (mean variance = 1)")
        if channels > 1:
            _label(panels[1], "Between two channels")
        handles, names = _legend(tuple(structures), channels)
        add_legend(figure, handles, names, loc="outside lower center", ncols=min(4, len(names)))
    return figure


def _draw(axes: "Axes", drawn: Sequence[Tensor], colors: Sequence[str]) -> None:
    for functions, line in zip(drawn, LINES, strict=False):
        shown = functions
        if len(colors) != len(functions):
            shown = functions.mean(dim=0, keepdim=True)
        for function, color in zip(shown, colors, strict=True):
            axes.plot(function.numpy(), color=color, linestyle=line, linewidth=1.5)


def _mark(axes: "Axes", drawn: Sequence[Tensor], lengths: Sequence[float | None]) -> None:
    marked: list[float] = []
    for functions, length in zip(drawn, lengths, strict=True):
        function = functions.mean(dim=0)
        if length is None or math.isinf(length) or length > len(function) - 1:
            continue
        before = int(length)
        after = min(before + 1, len(function) - 1)
        height = torch.lerp(function[before], function[after], length - before).item()
        axes.plot([length], [height], marker="o", markersize=6, color=INK, zorder=4)
        # One above the other where dots lie close together.
        rank = sum(abs(length - other) < len(function) / 8 for other in marked)
        marked.append(length)
        axes.annotate(
            f"{length:.1f} px",
            xy=(length, height),
            xytext=(9, 7 + 13 * rank),
            textcoords="offset points",
            fontsize=8.5,
            color=INK,
        )


def _label(axes: "Axes", title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("distance between the pixels (pixels)")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(left=0)


def _legend(names: Sequence[str], channels: int) -> tuple[list["Line2D"], list[str]]:
    from matplotlib.lines import Line2D

    entries = [
        (name, Line2D([], [], color=INK, linestyle=line))
        for line, name in zip(LINES, names, strict=False)
    ]
    entries.append(
        ("decay length (mean, 1/e)", Line2D([], [], color=INK, marker="o", linestyle=""))
    )
    if channels == 3:
        pairs = ((0, 1), (0, 2), (1, 2))
        named = [(CHANNEL_NAMES[index], CHANNEL_COLORS[index]) for index in range(3)]
        named += [
            (f"{CHANNEL_NAMES[a]}–{CHANNEL_NAMES[b]}", color)
            for (a, b), color in zip(pairs, PAIR_COLORS, strict=True)
        ]
        entries += [(name, Line2D([], [], color=color)) for name, color in named]
    return [handle for _, handle in entries], [name for name, _ in entries]

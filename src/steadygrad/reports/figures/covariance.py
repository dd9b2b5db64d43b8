"""Figures of an analysis of perturbations: covariance functions, matrices, softmax lines."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import PerturbationStructure, SoftmaxLines
from steadygrad.reports.figures.canvas import (
    COLORS,
    GRID,
    INK,
    MUTED,
    LineStyle,
    add_legend,
    new_figure,
    style,
)
from steadygrad.reports.figures.images import class_name
from steadygrad.reports.figures.names import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.figure import (
        Figure,
    )
    from matplotlib.image import (
        AxesImage,
    )
    from matplotlib.lines import (
        Line2D,
    )

__all__ = ["covariance_function_figure", "covariance_matrix_figure", "softmax_line_figure"]


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
        # One above the other where dots lie close together, with a line to its own dot.
        rank = sum(abs(length - other) < len(function) / 8 for other in marked)
        marked.append(length)
        axes.annotate(
            f"{length:.1f} px",
            xy=(length, height),
            xytext=(9, 7 + 16 * rank),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.7} if rank else None,
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


ROWS_SHOWN = 4


"""Rows of the image in the enlarged lower pictures."""


def covariance_matrix_figure(structures: Mapping[str, PerturbationStructure]) -> "Figure":
    """Draw the matrices under their names: the centre, and four rows of pixels enlarged.

    Above, a quarter is trimmed from each side; below are the middle rows of the middle channel.
    Pixels are in row-major order, channel by channel; each matrix is divided by its largest
    absolute entry.
    Raises: HyperparameterError, without structures; CovarianceError, if one has no matrix.
    Source: Roth et al., arXiv:1805.08736, Fig. 1.
    """
    if not structures:
        raise HyperparameterError("expected at least one structure to draw, got none")
    with style():
        figure = new_figure(1.2 + 3.1 * len(structures), 6.4)
        grid = figure.subplots(2, len(structures), squeeze=False)
        for (upper, lower), (name, structure) in zip(grid.T, structures.items(), strict=True):
            matrix = structure.dense().matrix
            matrix = matrix / matrix.abs().max()
            size = len(matrix)
            _picture(upper, matrix, size // 4, size - size // 4)
            upper.set_title(name, parse_math=False)
            channels, height, width = structure.image_shape
            rows = min(ROWS_SHOWN, height)
            first = (height - rows) // 2
            start = (channels // 2) * height * width + first * width
            shades = _picture(lower, matrix, start, start + rows * width)
            _name_rows(lower, start, width, first, rows)
        grid[0, 0].set_ylabel("pixel (centre of the matrix)")
        grid[1, 0].set_ylabel(f"{rows} rows of pixels, enlarged")
        figure.colorbar(shades, ax=grid, label="covariance / its largest", shrink=0.6, aspect=30)
    return figure


def _picture(axes: "Axes", matrix: Tensor, start: int, stop: int) -> "AxesImage":
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    return axes.imshow(
        matrix[start:stop, start:stop].numpy(),
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        extent=(start, stop, stop, start),
    )


def _name_rows(axes: "Axes", start: int, width: int, first: int, rows: int) -> None:
    ticks = [start + (row + 0.5) * width for row in range(rows)]
    names = [f"row {first + row}" for row in range(rows)]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names, rotation=90, va="center")
    axes.tick_params(length=0)


COLUMNS = 3


def softmax_line_figure(
    lines: SoftmaxLines,
    labels: Tensor,
    *,
    class_names: tuple[str, ...] | None = None,
    title: str = "",
) -> "Figure":
    """Draw one panel an image: each class's probability against ``t``; those that lead are named.

    Dotted lines mark the image itself (0) and its adversarial twin (1).
    labels: int64 (images,), the true classes; class_names: in their order, None prints indices.
    Raises: HyperparameterError, if the labels are not one an image.
    Source: Roth et al., arXiv:1805.08736, Fig. 6.
    """
    count = len(lines.probabilities)
    if len(labels) != count:
        raise HyperparameterError(f"expected {count} labels, one a line, got {len(labels)}")
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    with style():
        figure = new_figure(0.8 + 3.0 * columns, 0.7 + 2.3 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for index, axes in enumerate(grid.flat):
            if index >= count:
                axes.set_visible(False)
                continue
            label = int(labels[index])
            _panel(axes, lines.positions, lines.probabilities[index], label, class_names)
            axes.set_title(wrapped(class_name(label, class_names), 34), parse_math=False)
        for axes in grid[:, 0]:
            axes.set_ylabel("probability")
        figure.supxlabel("t, in image + t · perturbation", fontsize=9.5)
        figure.suptitle(
            title, fontsize=10.5, fontweight="bold", x=0.01, ha="left", parse_math=False
        )
    return figure


def _panel(
    axes: "Axes",
    positions: Tensor,
    probabilities: Tensor,
    label: int,
    class_names: tuple[str, ...] | None,
) -> None:
    for place in (0, 1):
        axes.axvline(place, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    others = sorted({int(winner) for winner in probabilities.argmax(dim=1)} - {label})
    named = [label, *others]  # the true class has the first colour in every panel
    tops: list[tuple[float, float]] = []
    for index, line in enumerate(probabilities.T):
        if index not in named:
            axes.plot(positions.numpy(), line.numpy(), color=GRID, linewidth=1)
    for rank, index in enumerate(named):
        line, color = probabilities[:, index], COLORS[rank % len(COLORS)]
        axes.plot(positions.numpy(), line.numpy(), color=color, linewidth=1.7)
        top = int(line.argmax())
        share, height = top / (len(positions) - 1), line[top].item()
        # Above the names that stand there: a name is some 8 % of a panel high.
        below = sum(abs(share - x) < 0.3 and abs(height - y) < 0.1 for x, y in tops)
        tops.append((share, height))
        axes.annotate(
            wrapped(class_name(index, class_names), 30).partition("\n")[0],
            xy=(positions[top].item(), height),
            xytext=(0, 3 + 10 * below),
            textcoords="offset points",
            ha="left" if share < 0.2 else "right" if share > 0.8 else "center",
            fontsize=8.5,
            color=color,
            parse_math=False,
        )
    axes.set_ylim(0, 1.14)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlim(positions[0].item(), positions[-1].item())

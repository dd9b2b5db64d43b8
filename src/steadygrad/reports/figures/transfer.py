"""A transfer matrix as a heat map, its accuracies written in the cells."""

from typing import TYPE_CHECKING, Any

from steadygrad.evaluation import AccuracyPoint, TransferMatrix
from steadygrad.reports.figures.canvas import literal_text, new_figure, style, wrapped
from steadygrad.reports.transfer_table import transfer_title
from steadygrad.reports.wording import interval_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["transfer_figure"]

_FOOLED, _RIGHT = "#1b3a57", "#e3eef6"
"""Of no image right, and of all: one hue, ordered in lightness for every kind of colour vision."""


def transfer_figure(matrix: TransferMatrix) -> "Figure":
    """Draw accuracies in percent: rows are victims, columns the models that were attacked.

    The row "self" has each source on its own examples; a victim that is its source is framed in
    dots.
    The column apart is the accuracy without attack.
    """
    names = ["self", *matrix.victims]
    clean: list[list[AccuracyPoint | None]] = [
        [None, *(matrix.clean_cell(victim) for victim in matrix.victims)]
    ]
    attacked: list[list[AccuracyPoint | None]] = [
        [matrix.self_cell(source), *(matrix.cell(victim, source) for victim in matrix.victims)]
        for source in matrix.sources
    ]
    columns = len(matrix.sources)
    with style():
        figure = new_figure(3.2 + 1.05 * columns, 1.3 + 0.55 * len(names))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, columns])
        _heat(left, clean, ["without\nattack"])
        _heat(right, attacked, [wrapped(source, 14) for source in matrix.sources])
        left.set_yticks(range(len(names)), [wrapped(name, 22) for name in names])
        left.set_ylabel("shown to")
        right.set_xlabel("examples made on")
        _frame_own(right, matrix)
        for axes in (left, right):
            literal_text(axes)
        figure.suptitle(
            transfer_title(matrix),
            fontsize=10.5,
            fontweight="bold",
            x=0.01,
            ha="left",
            parse_math=False,
        )
    return figure


def _heat(axes: "Axes", columns: list[list[AccuracyPoint | None]], names: list[str]) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    percent = [[np.nan if p is None else 100 * p.accuracy for p in points] for points in columns]
    accuracies = np.array(percent).T
    colors = LinearSegmentedColormap.from_list("accuracy", [_FOOLED, _RIGHT]).with_extremes(
        bad="white"
    )
    axes.imshow(accuracies, cmap=colors, vmin=0, vmax=100, aspect="auto")
    for column, points in enumerate(columns):
        for row, point in enumerate(points):
            if point is not None:
                _write(axes, column, row, f"{100 * point.accuracy:.1f}", 10.5, 5, point)
                _write(axes, column, row, interval_text(point), 7, -7, point)
    for edge in range(1, len(columns)):
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, accuracies.shape[0]):
        # The sources' own row stands apart from those of their victims.
        axes.axhline(edge - 0.5, color="white", linewidth=7 if edge == 1 else 1.5)
    axes.set_xticks(range(len(names)), names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _write(
    axes: "Axes", column: int, row: int, text: str, size: float, above: float, point: AccuracyPoint
) -> None:
    """Write in a cell, so many points above its middle, in what can be read on its colour."""
    axes.annotate(
        text,
        (column, row),
        xytext=(0, above),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=size,
        color=_ink(point),
    )


def _frame_own(axes: "Axes", matrix: TransferMatrix) -> None:
    from matplotlib.patches import Rectangle

    for row, victim in enumerate(matrix.victims, start=1):
        for column, source in enumerate(matrix.sources):
            if matrix.is_own(victim, source):
                look: dict[str, Any] = {
                    "fill": False,
                    "edgecolor": _ink(matrix.cell(victim, source)),
                }
                corner = (column - 0.46, row - 0.4)
                axes.add_patch(Rectangle(corner, 0.92, 0.8, linewidth=1.1, linestyle=":", **look))


def _ink(point: AccuracyPoint) -> str:
    # Where white and black stand out equally well from the colour.
    return "white" if point.accuracy < 0.35 else "black"

"""A transfer matrix as a table (terminal, Markdown, CSV) and as a heat map."""

import csv
import io
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steadygrad.evaluation import AccuracyPoint, TransferMatrix
from steadygrad.markdown_text import markdown_text
from steadygrad.reports.figures.canvas import literal_text, new_figure, style
from steadygrad.reports.figures.names import wrapped_names
from steadygrad.reports.wording import (
    accuracy_text,
    attack_name,
    count_text,
    eps_text,
    interval_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.figure import (
        Figure,
    )

__all__ = [
    "transfer_csv",
    "transfer_figure",
    "transfer_markdown",
    "transfer_table",
    "transfer_title",
]


def transfer_title(matrix: TransferMatrix) -> str:
    """Return what was done: "Accuracy (%) on FGSM at eps 0.1, 1,000 images"."""
    counted = int(matrix.counted.sum())
    which = " that all models classify correctly without attack" if matrix.only_common else ""
    return (
        f"Accuracy (%) on {attack_name(matrix.attack)} at eps {eps_text(matrix.eps)}, "
        f"{count_text(counted, 'image')}{which}"
    )


def transfer_table(matrix: TransferMatrix) -> RenderableType:
    """Return the matrix for a terminal: rows are victims, columns the models attacked."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text("shown to"), overflow="fold", min_width=8)
    for heading in ("clean", *(f"from {name}" for name in matrix.sources)):
        table.add_column(Text(heading), justify="right", overflow="fold")
    for name, clean, cells in _rows(matrix):
        table.add_row(
            Text(name, style="bold"),
            _rich(clean),
            *(_rich(point, is_own=is_own) for point, is_own in cells),
        )
    title, caption = Text(transfer_title(matrix), style="bold"), Text(_CAPTION, style="dim")
    return Group(title, table, caption)


def transfer_markdown(matrix: TransferMatrix) -> str:
    """Return the matrix as a Markdown table, ending in a newline; accuracies in percent."""
    lines = [
        ["shown to", "clean", *(f"from {markdown_text(name)}" for name in matrix.sources)],
        [":---", *["---:"] * (len(matrix.sources) + 1)],
    ]
    for name, clean, cells in _rows(matrix):
        marked = [f"{accuracy_text(point)}{_STAR if is_own else ''}" for point, is_own in cells]
        lines.append([markdown_text(name), accuracy_text(clean), *marked])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{markdown_text(transfer_title(matrix))}\n\n{table}\n{markdown_text(_CAPTION)}\n"


def transfer_csv(matrix: TransferMatrix) -> str:
    """Return one line for each cell: accuracies as fractions, with Wilson's 95 % interval.

    The role is "self", "victim" or, with no source, "clean".
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["victim", "source", "role", "is_self", "accuracy", "low", "high", "correct", "n", "eps"]
    )

    def write(victim: str, source: str, role: str, is_self: bool, point: AccuracyPoint) -> None:
        numbers = (point.accuracy, *point.ci95, point.correct, point.n, point.eps)
        writer.writerow([victim, source, role, str(is_self).lower(), *numbers])

    for source in matrix.sources:
        write(source, source, "self", True, matrix.self_cell(source))
    for victim in matrix.victims:
        write(victim, "", "clean", False, matrix.clean_cell(victim))
        for source in matrix.sources:
            point = matrix.cell(victim, source)
            write(victim, source, "victim", matrix.is_own(victim, source), point)
    return out.getvalue()


_STAR = "\u00a0\\*"


_CAPTION = (
    "with the 95 % interval; self: the model that was attacked, on its own examples; "
    "*: the same model as the source"
)


def _rows(
    matrix: TransferMatrix,
) -> list[tuple[str, AccuracyPoint | None, list[tuple[AccuracyPoint, bool]]]]:
    """Return name, clean accuracy and cells of the self row and of every victim."""
    own = [(matrix.self_cell(source), False) for source in matrix.sources]
    rows: list[tuple[str, AccuracyPoint | None, list[tuple[AccuracyPoint, bool]]]] = []
    rows.append(("self", None, own))
    for victim in matrix.victims:
        cells = [
            (matrix.cell(victim, source), matrix.is_own(victim, source))
            for source in matrix.sources
        ]
        rows.append((victim, matrix.clean_cell(victim), cells))
    return rows


def _rich(point: AccuracyPoint | None, *, is_own: bool = False) -> Text:
    if point is None:
        return Text("–")
    star = "*" if is_own else ""
    return Text.assemble(f"{100 * point.accuracy:.1f}{star}\n", (interval_text(point), "dim"))


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
        _heat(right, attacked, wrapped_names(matrix.sources, 14))
        left.set_yticks(range(len(names)), wrapped_names(names, 22))
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

"""A transfer matrix as a table: on a terminal, in Markdown, as CSV."""

import csv
import io

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steadygrad.evaluation import AccuracyPoint, TransferMatrix
from steadygrad.reports.wording import attack_name, count_text, eps_text, interval_text, percent

__all__ = ["transfer_csv", "transfer_markdown", "transfer_table", "transfer_title"]


def transfer_title(matrix: TransferMatrix) -> str:
    """Return what was done: "Accuracy (%) on FGSM at eps 0.1, 1,000 images"."""
    counted = int(matrix.counted.sum())
    which = " that all models have right without attack" if matrix.only_common else ""
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
        ["shown to", "clean", *(f"from {_escaped(name)}" for name in matrix.sources)],
        [":---", *["---:"] * (len(matrix.sources) + 1)],
    ]
    for name, clean, cells in _rows(matrix):
        marked = [f"{_markdown(point)}{_STAR if is_own else ''}" for point, is_own in cells]
        lines.append([_escaped(name), _markdown(clean), *marked])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{transfer_title(matrix)}\n\n{table}\n{_escaped(_CAPTION)}\n"


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


def _markdown(point: AccuracyPoint | None) -> str:
    return "–" if point is None else f"{percent(point.accuracy)} ({interval_text(point)})"


def _escaped(text: str) -> str:
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")

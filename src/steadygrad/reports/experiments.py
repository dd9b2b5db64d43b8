"""The folder an experiment leaves: figures, tables, our numbers beside the printed ones."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError, OutputError
from steadygrad.experiments import (
    MEASUREMENTS,
    Cell,
    Compared,
    ExperimentOutcome,
    ExperimentRecord,
    Interval,
    Measurements,
    Table,
    verdict_counts,
)
from steadygrad.json_file import read_object, required
from steadygrad.reports.figures import charts_figure, save_figure

__all__ = [
    "number_text",
    "read_record",
    "write_experiment",
]

RECORD = "experiment.json"
FIGURE_SUFFIXES = (".png", ".svg")
TABLE_SUFFIXES = (".csv", ".md")
_COMPARED = frozenset({"quantity", "printed", "ours", "interval", "obstacle", "note", "verdict"})
"""What a comparison in the record has at least."""


def write_experiment(folder: Path, outcome: ExperimentOutcome, record: ExperimentRecord) -> None:
    """Write figures, tables, comparison.md, measurements.json if there are any, experiment.json.

    The last of them comes last: where it is, the others are. Earlier results are replaced: what an
    earlier record names and the new one does not is removed.
    Raises: OutputError, if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = _files_of_record(folder)
        (folder / RECORD).unlink(missing_ok=True)
        if not record.measurements:
            (folder / MEASUREMENTS).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    caption = _caption(outcome, record)
    for name, charts in outcome.charts.items():
        figure = charts_figure(charts, caption)
        for suffix in FIGURE_SUFFIXES:
            save_figure(figure, folder / f"{name}{suffix}")
    for name, table in outcome.tables.items():
        write_atomically(folder / f"{name}.csv", _csv(table).encode())
        write_atomically(folder / f"{name}.md", _markdown(table).encode())
    if record.measurements:
        with suppress(CheckpointError):  # of damaged measurements, which are replaced
            record.measurements.dated_as(Measurements.of_results(folder))
        record.measurements.write(folder / MEASUREMENTS)
    comparison = _comparison(outcome, record)
    write_atomically(folder / "comparison.md", comparison.encode())
    values = record.to_json() | {
        "caption": caption,
        "figures": sorted(outcome.charts),
        "tables": sorted(outcome.tables),
        "verdicts": verdict_counts(outcome.compared),
        "compared": [_compared_json(entry) for entry in outcome.compared],
    }
    write_atomically(folder / RECORD, (json.dumps(values, indent=2) + "\n").encode())
    for stale in earlier - _file_names(outcome.charts, outcome.tables):
        (folder / stale).unlink(missing_ok=True)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return what experiment.json says, None where no finished experiment is.

    Raises: CheckpointError, if the file is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = read_object(path)
    for key in ("experiment", "title", "caption"):
        required(record, key, str, str(path))
    for key in ("figures", "tables"):
        required(record, key, list, str(path))
    for entry in required(record, "compared", list, str(path)):
        if not (isinstance(entry, dict) and entry.keys() >= _COMPARED):
            raise CheckpointError(f"{path} is damaged: {entry!r} compares nothing")
    return record


def _files_of_record(folder: Path) -> set[str]:
    """Return the figures and tables that a folder's record names, as far as they lie in the folder.

    None without a sound record.
    """
    try:
        record = read_record(folder)
        if record is None:
            return set()
        figures, tables = (
            required(record, kind, list, str(folder / RECORD)) for kind in ("figures", "tables")
        )
    except CheckpointError:
        return set()
    return {name for name in _file_names(figures, tables) if Path(name).name == name}


def _file_names(figures: Iterable[str], tables: Iterable[str]) -> set[str]:
    stems = (*product(figures, FIGURE_SUFFIXES), *product(tables, TABLE_SUFFIXES))
    return {f"{stem}{suffix}" for stem, suffix in stems}


def _caption(outcome: ExperimentOutcome, record: ExperimentRecord) -> str:
    if not record.untrained:
        return outcome.caption
    known = len(record.networks) + len(record.untrained)
    return (
        f"{outcome.caption} With the {len(record.networks)} of {known} networks that are trained "
        "so far; comparison.md names the others."
    )


def _comparison(outcome: ExperimentOutcome, record: ExperimentRecord) -> str:
    seeds = ", ".join(map(str, record.seeds_measured))
    lines = [
        f"# {record.name}: {record.title}",
        "",
        _caption(outcome, record),
        "",
        f"Scale: {record.scale}. Seeds: {seeds}. Intervals are 95 %, for the choice of test images "
        "alone.",
        "",
    ]
    if record.untrained:
        names = "; ".join(f"{n.label} (seed {n.config.seed})" for n in record.untrained)
        lines += [f"Not trained yet, and so left out: {names}.", ""]
    if record.taken_over:
        names = "; ".join(f"{n.label} (seed {n.config.seed})" for n in record.taken_over)
        lines += [f"Measured in an earlier run, and taken over from it: {names}.", ""]
    if not outcome.compared:
        lines.append("No paper prints numbers for this.")
        return "\n".join(lines) + "\n"
    table = Table(
        title="",
        columns=("quantity", "paper", "ours", "95 % interval", "difference", "verdict", "remark"),
        rows=tuple(_comparison_row(entry) for entry in outcome.compared),
        intervals=("95 % interval",),
    )
    return "\n".join([*lines, _markdown(table)])


def _comparison_row(entry: Compared) -> tuple[Cell, ...]:
    remark = "; ".join(text for text in (entry.obstacle, entry.note) if text)
    if entry.tolerance:
        remark = f"{remark}; tolerance {entry.tolerance:g}".removeprefix("; ")
    difference = "" if entry.difference is None else f"{round(entry.difference, 6):+,.4g}"
    return (
        entry.quantity,
        number_text(entry.printed),
        number_text(entry.ours),
        None if entry.interval is None else Interval.of(*entry.interval),
        difference,
        entry.verdict,
        remark,
    )


def _compared_json(entry: Compared) -> dict[str, Any]:
    return {
        "quantity": entry.quantity,
        "paper": entry.paper,
        "path": entry.path,
        "printed": entry.printed,
        "ours": entry.ours,
        "interval": None if entry.interval is None else list(entry.interval),
        "tolerance": entry.tolerance,
        "obstacle": entry.obstacle,
        "note": entry.note,
        "verdict": entry.verdict,
    }


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = table.columns
    writer.writerow(name for column in columns for name in _csv_names(column, table))
    for row in table.rows:
        cells = zip(columns, row, strict=True)
        writer.writerow(
            value for column, cell in cells for value in _csv_cells(column, cell, table)
        )
    return buffer.getvalue()


def _csv_names(column: str, table: Table) -> tuple[str, ...]:
    """Return what a column is called in a CSV file: an interval's ends are two."""
    return (f"{column}, low", f"{column}, high") if column in table.intervals else (column,)


def _csv_cells(column: str, cell: Cell, table: Table) -> tuple[str | int | float, ...]:
    if isinstance(cell, Interval):
        return cell.ends
    if cell is None:
        return ("",) * len(_csv_names(column, table))
    return (cell,)


def _markdown(table: Table) -> str:
    numeric = [
        column not in table.intervals
        and all(isinstance(row[i], int | float | None) for row in table.rows)
        for i, column in enumerate(table.columns)
    ]
    lines = [f"# {table.title}", ""] if table.title else []
    lines.append(_line(table.columns))
    lines.append(_line(["---:" if is_number else "---" for is_number in numeric]))
    lines += [_line([number_text(cell) for cell in row]) for row in table.rows]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number_text(cell: Cell) -> str:
    """Return a cell as people read it: thousands set apart, one decimal if there are any.

    Below 1 there are three significant digits.
    """
    if cell is None:
        return ""
    if isinstance(cell, Interval):
        return cell.text
    if isinstance(cell, float):
        if cell.is_integer():
            return f"{cell:,.0f}"
        return f"{cell:,.1f}" if abs(cell) >= 1 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell

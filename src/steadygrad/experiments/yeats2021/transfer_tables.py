"""Table 2 as it is shown: in the paper's layout, cell by cell, and as points."""

from collections.abc import Sequence

from steadygrad.experiments.accuracies import percent_series
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.experiment import Cell, Table
from steadygrad.experiments.yeats2021.transfer_grid import (
    SOURCES,
    VICTIMS,
    TransferGrid,
    WayOfTraining,
)
from steadygrad.experiments.yeats2021.transfer_pairs import PARTNER, TransferCell

__all__ = ["cell_table", "has_stand_ins", "layout_table", "transfer_chart"]

SOURCE_STEP = 0.12
"""Distance of two sources' points at one victim, in the unit of the axis."""
MISSING = "–"


def layout_table(grid: TransferGrid) -> Table:
    """Return victims as rows and sources as columns, cells as "ours (the paper's)"."""
    rows: list[tuple[Cell, ...]] = [
        ("self", "", *(_text(grid, source, None) for source in SOURCES), "")
    ]
    for victim in VICTIMS:
        cells = (_text(grid, source, victim) for source in SOURCES)
        rows.append((grid.label(victim), _clean(grid, victim), *cells, _worst(grid, victim)))
    return Table(
        title=f"{grid.recipe.title}: accuracy (%), FGSM at eps {grid.eps:g}, ours (the paper's)",
        columns=(
            "to network",
            "clean",
            *(f"from {grid.label(source)}" for source in SOURCES),
            "every source in turn",
        ),
        rows=tuple(rows),
        note="Row 'self': each source on its own examples. Elsewhere source and victim have "
        f"different seeds, s and s + {PARTNER}, in both directions; * marks networks of one seed "
        f"but different trainings, where no others are trained; {MISSING} none at all. Last "
        "column: an image counts only if the victim has it right on the examples of every source.",
    )


def cell_table(grids: Sequence[TransferGrid]) -> Table:
    """Return a row for each cell that was measured, with all that is known of it."""
    rows: list[tuple[Cell, ...]] = []
    for grid in grids:
        for source in SOURCES:
            for victim in (None, *VICTIMS):
                cell = grid.cell(source, victim)
                if cell is not None:
                    name = "self" if victim is None else grid.label(victim)
                    head = (grid.recipe.title, grid.label(source), name)
                    rows.append((*head, *_numbers(cell), grid.printed(source, victim)))
    return Table(
        title="Every cell of Table 2 and of what goes beyond it",
        columns=(
            "data set",
            "source",
            "victim",
            "accuracy",
            "low",
            "high",
            "images",
            "pairs of networks",
            "lowest pair",
            "highest pair",
            "seeds",
            "printed",
        ),
        rows=tuple(rows),
        note="Accuracies in percent; low and high: 95 % interval for the choice of images.",
    )


def transfer_chart(grid: TransferGrid, rows: Sequence[WayOfTraining | None]) -> LineChart:
    """Return victims below the axis, a mark for each source, and the printed values.

    rows: the victims; None: every source itself. Of those that were shown nothing and that the
    paper has no number for there is no place.
    """
    victims = [
        victim
        for victim in rows
        if any(
            grid.cell(source, victim) is not None or grid.printed(source, victim) is not None
            for source in SOURCES
        )
    ]
    series, printed = [], []
    for index, source in enumerate(SOURCES):
        shift = SOURCE_STEP * (index - (len(SOURCES) - 1) / 2)
        points = {
            place + shift: cell.mean
            for place, victim in enumerate(victims)
            if (cell := grid.cell(source, victim)) is not None
        }
        if not points:
            continue
        found = list(points.values())
        series.append(percent_series(_source_name(source), tuple(points), found, drawn="points"))
        printed += [
            PrintedPoint("", place + shift, number, series=_source_name(source))
            for place, victim in enumerate(victims)
            if (number := grid.printed(source, victim)) is not None
        ]
    names = ["itself" if victim is None else grid.label(victim) for victim in victims]
    return LineChart(
        title=f"{grid.recipe.title}: FGSM at eps {grid.eps:g}",
        x_label="network that is shown the examples",
        y_label="accuracy (%)",
        series=tuple(series),
        printed=tuple(printed),
        x_names=tuple(name.replace(", ", ",\n") for name in names),
    )


def has_stand_ins(grid: TransferGrid) -> bool:
    """Return whether a cell has networks of one seed, for want of two."""
    cells = (grid.cell(source, victim) for source in SOURCES for victim in VICTIMS)
    return any(cell is not None and not cell.is_crossed for cell in cells)


def _source_name(source: WayOfTraining) -> str:
    """Return a name that is the same in the panels of all data sets."""
    kind = "real GELU" if source.kind == "gelu" else source.kind
    return f"from {kind}, {'with the penalty' if source.is_penalised else 'no defence'}"


def _text(grid: TransferGrid, source: WayOfTraining, victim: WayOfTraining | None) -> str:
    cell, printed = grid.cell(source, victim), grid.printed(source, victim)
    return _percent(cell) + ("" if printed is None else f" ({printed:.1f})")


def _percent(cell: TransferCell | None) -> str:
    if cell is None:
        return MISSING
    return f"{100 * cell.mean.accuracy:.1f}" + ("" if cell.is_crossed else "*")


def _clean(grid: TransferGrid, victim: WayOfTraining) -> str:
    return _percent(grid.cells.clean_cell(grid.label(victim)) if grid.cells else None)


def _worst(grid: TransferGrid, victim: WayOfTraining) -> str:
    sources = [grid.label(source) for source in SOURCES]
    found = grid.cells.worst_case(grid.label(victim), sources) if grid.cells else None
    if found is None:
        return MISSING
    cell, number = found
    return f"{_percent(cell)} ({number} of {len(sources)} sources)"


def _numbers(cell: TransferCell) -> tuple[Cell, ...]:
    accuracies = [100 * point.accuracy for point in cell.points]
    low, high = cell.mean.ci95
    return (
        round(100 * cell.mean.accuracy, 2),
        round(100 * low, 2),
        round(100 * high, 2),
        cell.mean.n,
        len(cell.points),
        round(min(accuracies), 2),
        round(max(accuracies), 2),
        "different" if cell.is_crossed else "the same",
    )

"""A transfer table of one data set: in a paper's layout, cell by cell, and as points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steadygrad.experiments.accuracies import percent_series
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.experiment import Cell, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.transfer_pairs import PARTNER, TransferCell, TransferCells

__all__ = ["Rows", "TransferGrid", "cell_table", "layout_table", "transfer_chart"]

SOURCE_STEP = 0.12
"""Distance of two sources' points at one victim, in the unit of the axis."""
MISSING = "–"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The ways of training that a table compares, the same on every data set.

    Args:
        of_paper: the paper's rows, in its order; sources: those that are attacked; victims: those
            that are shown examples. By keys that ``TransferGrid.networks`` knows.
        legends: what a source is called in the figures of all data sets.
    """

    of_paper: tuple[str, ...]
    sources: tuple[str, ...]
    victims: tuple[str, ...]
    legends: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class TransferGrid:
    """The table's part on one data set.

    Args:
        stem: of its files; data_title: for people; caution: what keeps results on it from being
            compared with the paper's, "" for nothing.
        eps: radius of the attack.
        networks: by way of training, of seed 0 and the paper's scale.
        printed_paths: where the paper prints the cell of a source and a victim (None: the source
            itself).
        cells: what was measured; None, if no network is trained.
    """

    paper: str
    stem: str
    data_title: str
    eps: float
    networks: Mapping[str, Network]
    printed_paths: Mapping[tuple[str, str | None], str]
    caution: str = ""
    cells: TransferCells | None = None

    def label(self, way: str) -> str:
        """Return what networks of a way are called."""
        return self.networks[way].label

    def variant(self, way: str) -> str:
        """Return the variant of the networks of a way."""
        return self.networks[way].variant

    def cell(self, source: str, victim: str | None) -> TransferCell | None:
        """Return a cell; without a victim, that of the source on its own examples."""
        if self.cells is None:
            return None
        if victim is None:
            return self.cells.self_cell(self.variant(source))
        return self.cells.cell(self.variant(source), self.variant(victim))

    def printed(self, source: str, victim: str | None) -> float | None:
        """Return the accuracy that the paper prints, in percent; None beyond the paper."""
        path = self.printed_paths.get((source, victim))
        return None if path is None else published_number(self.paper, path)

    def has_stand_ins(self, rows: Rows) -> bool:
        """Return whether a cell has networks of one seed, because two are missing."""
        cells = (self.cell(source, victim) for source in rows.sources for victim in rows.victims)
        return any(cell is not None and not cell.is_crossed for cell in cells)


def layout_table(grid: TransferGrid, rows: Rows) -> Table:
    """Return victims as rows and sources as columns, cells as "ours (the paper's)"."""
    lines: list[tuple[Cell, ...]] = [
        ("self", "", *(_text(grid, source, None) for source in rows.sources), "")
    ]
    for victim in rows.victims:
        cells = (_text(grid, source, victim) for source in rows.sources)
        worst = _worst(grid, rows, victim)
        lines.append((grid.label(victim), _clean(grid, victim), *cells, worst))
    return Table(
        title=f"{grid.data_title}: accuracy (%), FGSM at eps {grid.eps:g}, ours (the paper's)",
        columns=(
            "to network",
            "clean",
            *(f"from {grid.label(source)}" for source in rows.sources),
            "every source in turn",
        ),
        rows=tuple(lines),
        note="Row 'self': each source on its own examples. Elsewhere source and victim have "
        f"different seeds, s and s + {PARTNER}, in both directions; * marks networks of one seed "
        f"but different trainings, where no others are trained; {MISSING} none at all. Last "
        "column: an image counts only if the victim classifies it correctly for every source.",
    )


def cell_table(title: str, grids: Sequence[TransferGrid], rows: Rows) -> Table:
    """Return a row for each cell that was measured, with all that is known of it."""
    lines: list[tuple[Cell, ...]] = []
    for grid in grids:
        for source in rows.sources:
            for victim in (None, *rows.victims):
                cell = grid.cell(source, victim)
                if cell is not None:
                    name = "self" if victim is None else grid.label(victim)
                    head = (grid.data_title, grid.label(source), name)
                    lines.append((*head, *_numbers(cell), grid.printed(source, victim)))
    return Table(
        title=title,
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
        rows=tuple(lines),
        note="Accuracies in percent; low and high: 95 % interval for the choice of images.",
    )


def transfer_chart(grid: TransferGrid, rows: Rows, victims: Sequence[str | None]) -> LineChart:
    """Return victims below the axis, a mark for each source, and the printed values.

    victims: None stands for every source itself. Of those that were shown nothing and that the
    paper has no number for there is no place.
    """
    placed = [
        victim
        for victim in victims
        if any(
            grid.cell(source, victim) is not None or grid.printed(source, victim) is not None
            for source in rows.sources
        )
    ]
    series, printed = [], []
    for index, source in enumerate(rows.sources):
        shift = SOURCE_STEP * (index - (len(rows.sources) - 1) / 2)
        points = {
            place + shift: cell.mean
            for place, victim in enumerate(placed)
            if (cell := grid.cell(source, victim)) is not None
        }
        if not points:
            continue
        legend, found = rows.legends[source], list(points.values())
        series.append(percent_series(legend, tuple(points), found, drawn="points"))
        printed += [
            PrintedPoint("", place + shift, number, series=legend)
            for place, victim in enumerate(placed)
            if (number := grid.printed(source, victim)) is not None
        ]
    names = ["itself" if victim is None else grid.label(victim) for victim in placed]
    return LineChart(
        title=f"{grid.data_title}: FGSM at eps {grid.eps:g}",
        x_label="network that is shown the examples",
        y_label="accuracy (%)",
        series=tuple(series),
        printed=tuple(printed),
        x_names=tuple(name.replace(", ", ",\n") for name in names),
    )


def _text(grid: TransferGrid, source: str, victim: str | None) -> str:
    cell, printed = grid.cell(source, victim), grid.printed(source, victim)
    return _percent(cell) + ("" if printed is None else f" ({printed:.1f})")


def _percent(cell: TransferCell | None) -> str:
    if cell is None:
        return MISSING
    return f"{100 * cell.mean.accuracy:.1f}" + ("" if cell.is_crossed else "*")


def _clean(grid: TransferGrid, victim: str) -> str:
    return _percent(grid.cells.clean_cell(grid.variant(victim)) if grid.cells else None)


def _worst(grid: TransferGrid, rows: Rows, victim: str) -> str:
    sources = [grid.variant(source) for source in rows.sources]
    found = grid.cells.worst_case(grid.variant(victim), sources) if grid.cells else None
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

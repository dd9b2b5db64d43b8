"""FGSM examples of one network shown to others that were trained independently of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from steadygrad.attacks import FGSM
from steadygrad.experiments.accuracies import MeanAccuracy, difference_cell
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Artefact, ExperimentOutcome, Interval, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.printed import compared_accuracy
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.transfer_grid import (
    Rows,
    TransferGrid,
    cell_table,
    layout_table,
    transfer_chart,
)
from steadygrad.experiments.transfer_pairs import PARTNER, TransferCell, transfer_cells
from steadygrad.experiments.workbench import Workbench

__all__ = ["Claim", "FgsmTransfer", "ordering_sentence"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That one victim withstands the examples of every source best.

    Args:
        victim: its way of training; name: for sentences; short: for a column.
        added: the networks beyond the paper with which the claim is judged once more, for
            sentences; added_short: for a column.
    """

    victim: str
    name: str
    short: str
    added: str
    added_short: str


@dataclass(frozen=True, kw_only=True)
class FgsmTransfer(Artefact):
    """A table of sources and victims on several data sets.

    A source of seed s meets victims of seed s + 100, and the other way round: one rule for all
    cells, of which a paper's "independently trained" asks in those of equal training alone.

    Args:
        table_title: what the paper calls the table.
    """

    grids: tuple[TransferGrid, ...]
    rows: Rows
    claim: Claim
    table_title: str
    title: str = "FGSM transfer between independently trained networks"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the sources of each seed and the victims of its partner.

        The data set stands before their labels.
        """
        return tuple(
            replace(network, label=f"{grid.data_title}: {network.label}")
            for grid in self.grids
            for seed in seeds
            for ways, number in ((self.rows.sources, seed), (self.rows.victims, seed + PARTNER))
            for network in scale.all_of([grid.networks[way] for way in ways], [number])
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return the path of every cell of the paper's table."""
        return tuple(path for grid in self.grids for path in grid.printed_paths.values())

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Show every source's examples to every victim, data set by data set."""
        grids = tuple(self._measured(bench, grid) for grid in self.grids)
        shown = tuple(grid for grid in grids if grid.cells is not None and grid.cells.pairs)
        return ExperimentOutcome(
            caption=self._caption(bench, shown),
            charts=self._charts(shown),
            tables={
                **{f"{self.stem}-{grid.stem}": layout_table(grid, self.rows) for grid in shown},
                f"{self.stem}-cells": cell_table(
                    f"Every cell of {self.table_title} and of what goes beyond it", shown, self.rows
                ),
                f"{self.stem}-ordering": _ordering_table(self.claim, shown, self.rows),
            },
            compared=tuple(entry for grid in grids for entry in _compared(bench.scale, grid)),
        )

    def _measured(self, bench: Workbench, grid: TransferGrid) -> TransferGrid:
        numbers = [number for seed in bench.seeds for number in (seed, seed + PARTNER)]
        networks = [grid.networks[way] for way in self.rows.victims]
        sources = [grid.variant(way) for way in self.rows.sources]
        cells = transfer_cells(
            bench, bench.scale.all_of(networks, numbers), sources, FGSM(eps=grid.eps)
        )
        return replace(grid, cells=cells)

    def _caption(self, bench: Workbench, shown: Sequence[TransferGrid]) -> str:
        pairs = ", ".join(f"{seed} and {seed + PARTNER}" for seed in bench.seeds)
        cautions = " ".join(
            f"{grid.data_title} is not comparable with the paper: {grid.caution}."
            for grid in shown
            if grid.caution
        )
        stand_ins = ""
        if any(grid.has_stand_ins(self.rows) for grid in shown):
            stand_ins = (
                "Where those are not trained, networks of the same seed but of another training "
                "are used: cells with * in the tables."
            )
        caption = (
            f"Scale {bench.scale.name}: FGSM examples of the first {bench.scale.attacked:,} test "
            f"images, all counted, shown to networks of another seed (seeds {pairs}, in both "
            f"directions); bars are 95 % intervals for the choice of images. {stand_ins} "
            f"{cautions} {ordering_sentence(self.claim, shown, self.rows)}"
        )
        return " ".join(caption.split())

    def _charts(self, grids: Sequence[TransferGrid]) -> dict[str, tuple[LineChart, ...]]:
        """Return the paper's victims, and those beyond it as far as they were shown anything."""
        rows = self.rows
        figures: dict[str, tuple[str | None, ...]] = {
            self.stem: (None, *rows.of_paper),
            f"{self.stem}-beyond": tuple(v for v in rows.victims if v not in rows.of_paper),
        }
        charts = {
            name: tuple(transfer_chart(grid, rows, victims) for grid in grids)
            for name, victims in figures.items()
        }
        return {
            name: tuple(panel for panel in panels if panel.series)
            for name, panels in charts.items()
            if any(panel.series for panel in panels)
        }


def _compared(scale: Scale, grid: TransferGrid) -> Iterator[Compared]:
    for (source, victim), path in grid.printed_paths.items():
        to = "itself" if victim is None else grid.label(victim)
        cell = grid.cell(source, victim)
        yield compared_accuracy(
            f"{grid.data_title}: from {grid.label(source)} to {to} (%)",
            grid.paper,
            path,
            () if cell is None else cell.points,
            obstacle=scale.obstacle(grid.caution),
            note="" if cell is None else _note(cell, is_self=victim is None),
        )


def _note(cell: TransferCell, *, is_self: bool) -> str:
    text = f"{len(cell.points)} {'network(s)' if is_self else 'pair(s) of networks'}"
    if not cell.is_crossed:
        text += " of one seed but different trainings, because no others are trained"
    return text


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One source: the claimed victim, and the best of the others."""

    data_title: str
    source: str
    claimed: MeanAccuracy
    rival: str
    of_rival: MeanAccuracy

    @property
    def lead(self) -> float:
        """Claimed minus rival, in percentage points."""
        return 100 * (self.claimed.accuracy - self.of_rival.accuracy)

    @property
    def interval(self) -> Interval:
        """95 % interval of the lead."""
        return difference_cell(self.claimed, self.of_rival)


def _ordering_table(claim: Claim, grids: Sequence[TransferGrid], rows: Rows) -> Table:
    """Return the claimed network beside the best of the others, for each source.

    Among the paper's networks, once more with the added ones, and among all victims.
    """
    lines = tuple(
        (
            column.data_title,
            column.source,
            among,
            round(100 * column.claimed.accuracy, 1),
            column.rival,
            round(100 * column.of_rival.accuracy, 1),
            round(column.lead, 1),
            column.interval,
        )
        for among, sources, victims in (
            ("the paper's", rows.of_paper, rows.of_paper),
            (claim.added_short, rows.sources, rows.sources),
            ("all", rows.sources, rows.victims),
        )
        for column in _columns(claim, grids, sources, victims)
    )
    return Table(
        title=f"Is the {claim.name} the most resistant victim?",
        columns=(
            "data set",
            "source",
            "networks",
            claim.short,
            "best of the others",
            "its accuracy",
            "lead",
            "95 % interval",
        ),
        rows=lines,
        note=f"{ordering_sentence(claim, grids, rows)} Accuracies in percent, leads in points, of "
        "sources whose every victim was measured; the row 'self' is no transfer and left out. "
        "Intervals are Newcombe's for independent samples: on shared images rather too wide.",
        intervals=("95 % interval",),
    )


def ordering_sentence(claim: Claim, grids: Sequence[TransferGrid], rows: Rows) -> str:
    """Return whether the claim holds for the paper's networks, and with the added ones."""
    of_paper = _columns(claim, grids, rows.of_paper, rows.of_paper)
    with_added = _columns(claim, grids, rows.sources, rows.sources)
    return (
        f"The paper's claim that the {claim.name} is the most resistant victim of every source "
        f"{_verdict(of_paper)}. With {claim.added} as sources and victims too it "
        f"{_verdict(with_added)}."
    )


def _columns(
    claim: Claim, grids: Sequence[TransferGrid], sources: Sequence[str], victims: Sequence[str]
) -> list[_Column]:
    """Return the sources of which the cell of every victim was measured."""
    columns = []
    for grid in grids:
        for source in sources:
            points = {
                victim: cell.mean
                for victim in victims
                if (cell := grid.cell(source, victim)) is not None
            }
            if len(points) == len(victims):
                claimed = points.pop(claim.victim)
                rival = max(points, key=lambda way: points[way].accuracy)
                column = _Column(
                    data_title=grid.data_title,
                    source=grid.label(source),
                    claimed=claimed,
                    rival=grid.label(rival),
                    of_rival=points[rival],
                )
                columns.append(column)
    return columns


def _verdict(columns: Sequence[_Column]) -> str:
    if not columns:
        return "cannot be judged: networks are not trained yet"
    ahead = sum(column.lead > 0 for column in columns)
    counts = []
    for title in dict.fromkeys(column.data_title for column in columns):
        leads = [column.lead > 0 for column in columns if column.data_title == title]
        counts.append(f"{sum(leads)} of {len(leads)} on {title}")
    certain = sum(column.interval.low > 0 for column in columns)
    behind = sum(column.interval.high < 0 for column in columns)
    return (
        f"{'holds' if ahead == len(columns) else 'does not hold'}: it is ahead of the best other "
        f"victim for {ahead} of {len(columns)} sources ({', '.join(counts)}), beyond chance for "
        f"{certain}, and behind beyond chance for {behind}"
    )

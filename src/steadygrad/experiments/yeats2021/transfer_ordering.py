"""The claim of Table 2: the complex network with the penalty withstands every source best."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.experiments.accuracies import MeanAccuracy, difference_interval
from steadygrad.experiments.comparison import interval_text
from steadygrad.experiments.experiment import Table
from steadygrad.experiments.yeats2021.transfer_grid import (
    OF_PAPER,
    SOURCES,
    VICTIMS,
    TransferGrid,
    WayOfTraining,
)

__all__ = ["ordering_sentence", "ordering_table"]

CLAIMED = WayOfTraining("complex", is_penalised=True)


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One source: the claimed victim, and the best of the others."""

    dataset: str
    source: str
    claimed: MeanAccuracy
    rival: str
    of_rival: MeanAccuracy

    @property
    def lead(self) -> float:
        """Claimed minus rival, in percentage points."""
        return 100 * (self.claimed.accuracy - self.of_rival.accuracy)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the lead."""
        low, high = difference_interval(self.claimed, self.of_rival)
        return 100 * low, 100 * high


def ordering_table(grids: Sequence[TransferGrid]) -> Table:
    """Return the claimed network beside the best of the others, for each source.

    Among the paper's networks, once more with the smooth real ones, and among all victims.
    """
    rows = tuple(
        (
            column.dataset,
            column.source,
            among,
            round(100 * column.claimed.accuracy, 1),
            column.rival,
            round(100 * column.of_rival.accuracy, 1),
            round(column.lead, 1),
            interval_text(column.interval),
        )
        for among, sources, victims in (
            ("the paper's", OF_PAPER, OF_PAPER),
            ("with GELU", SOURCES, SOURCES),
            ("all", SOURCES, VICTIMS),
        )
        for column in _columns(grids, sources, victims)
    )
    return Table(
        title="Is the complex network with the penalty the most resistant victim?",
        columns=(
            "data set",
            "source",
            "networks",
            "complex with the penalty",
            "best of the others",
            "its accuracy",
            "lead",
            "95 % interval",
        ),
        rows=rows,
        note=f"{ordering_sentence(grids)} Accuracies in percent, leads in points, of sources whose "
        "every victim was measured; the row 'self' is no transfer and left out. Intervals are "
        "Newcombe's for independent samples: on shared images rather too wide.",
    )


def ordering_sentence(grids: Sequence[TransferGrid]) -> str:
    """Return whether the claim holds for the paper's networks, and with the smooth real ones."""
    claim = "that the complex network with the penalty is the most resistant victim of every source"
    of_paper, with_twins = _columns(grids, OF_PAPER, OF_PAPER), _columns(grids, SOURCES, SOURCES)
    return (
        f"The paper's claim {claim} {_verdict(of_paper)}. With the GELU networks as sources and "
        f"victims too it {_verdict(with_twins)}."
    )


def _columns(
    grids: Sequence[TransferGrid],
    sources: Sequence[WayOfTraining],
    victims: Sequence[WayOfTraining],
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
                claimed = points.pop(CLAIMED)
                rival = max(points, key=lambda way: points[way].accuracy)
                column = _Column(
                    dataset=grid.recipe.title,
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
    for dataset in dict.fromkeys(column.dataset for column in columns):
        leads = [column.lead > 0 for column in columns if column.dataset == dataset]
        counts.append(f"{sum(leads)} of {len(leads)} on {dataset}")
    certain = sum(column.interval[0] > 0 for column in columns)
    behind = sum(column.interval[1] < 0 for column in columns)
    return (
        f"{'holds' if ahead == len(columns) else 'does not hold'}: it is ahead of the best other "
        f"victim for {ahead} of {len(columns)} sources ({', '.join(counts)}), beyond chance for "
        f"{certain}, and behind beyond chance for {behind}"
    )

"""Table 2: FGSM examples of one network shown to others that were trained independently of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from steadygrad.attacks import FGSM
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import ExperimentOutcome
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.spread import compared_accuracy
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.printed import PAPER, obstacle_at
from steadygrad.experiments.yeats2021.recipes import RECIPES, Recipe
from steadygrad.experiments.yeats2021.transfer_grid import (
    OF_PAPER,
    SOURCES,
    VICTIMS,
    TransferGrid,
    WayOfTraining,
)
from steadygrad.experiments.yeats2021.transfer_ordering import ordering_sentence, ordering_table
from steadygrad.experiments.yeats2021.transfer_pairs import PARTNER, TransferCell, transfer_cells
from steadygrad.experiments.yeats2021.transfer_tables import (
    cell_table,
    has_stand_ins,
    layout_table,
    transfer_chart,
)

__all__ = ["FgsmTransfer"]


@dataclass(frozen=True, kw_only=True)
class FgsmTransfer:
    """Six ways of training as sources; besides, frozen phase and random neighbours as victims.

    A source of seed s meets victims of seed s + 100, and the other way round: one rule for all
    cells, of which the paper's "independently trained" asks in those of equal training alone.
    recipes: by what the data file calls the data set.
    """

    recipes: Mapping[str, Recipe] = field(
        default_factory=lambda: {key: RECIPES[key] for key in ("mnist", "svhn", "fashion_mnist")}
    )
    name: str = "yeats2021/table2"
    title: str = "FGSM transfer between independently trained networks"

    @property
    def _grids(self) -> tuple[TransferGrid, ...]:
        return tuple(TransferGrid(key=key, recipe=recipe) for key, recipe in self.recipes.items())

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the sources of each seed and the victims of its partner.

        The data set stands before their labels.
        """
        return tuple(
            Network(f"{grid.recipe.title}: {network.label}", network.config)
            for grid in self._grids
            for seed in seeds
            for ways, number in ((SOURCES, seed), (VICTIMS, seed + PARTNER))
            for network in _networks(grid, ways, scale, number)
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return the path of every cell of the paper's table."""
        return tuple(path for grid in self._grids for _, _, path in _printed_cells(grid))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Show every source's examples to every victim, data set by data set."""
        grids = tuple(self._measured(bench, grid) for grid in self._grids)
        shown = tuple(grid for grid in grids if grid.cells is not None and grid.cells.pairs)
        claim = ordering_sentence(shown)
        pairs = ", ".join(f"{seed} and {seed + PARTNER}" for seed in bench.seeds)
        cautions = " ".join(
            f"{grid.recipe.title} is not comparable with the paper: {grid.recipe.caution}."
            for grid in shown
            if grid.recipe.caution
        )
        stand_ins = ""
        if any(has_stand_ins(grid) for grid in shown):
            stand_ins = (
                "Where those are not trained, networks of the same seed but of another training "
                "stand in: cells with * in the tables."
            )
        caption = (
            f"Scale {bench.scale.name}: FGSM examples of the first {bench.scale.attacked:,} test "
            f"images, all counted, shown to networks of another seed (seeds {pairs}, in both "
            "directions); stars are the paper's values, in the colour of their source; bars are "
            f"95 % intervals for the choice of images. {stand_ins} {cautions} {claim}"
        )
        return ExperimentOutcome(
            caption=" ".join(caption.split()),
            charts=_charts(shown),
            tables={
                **{f"table2-{grid.key.replace('_', '-')}": layout_table(grid) for grid in shown},
                "table2-cells": cell_table(shown),
                "table2-ordering": ordering_table(shown),
            },
            compared=tuple(
                _compared(bench, grid, source, victim, path)
                for grid in grids
                for source, victim, path in _printed_cells(grid)
            ),
        )

    def _measured(self, bench: Workbench, grid: TransferGrid) -> TransferGrid:
        networks = [
            network
            for seed in bench.seeds
            for number in (seed, seed + PARTNER)
            for network in _networks(grid, VICTIMS, bench.scale, number)
        ]
        sources = [grid.label(way) for way in SOURCES]
        cells = transfer_cells(bench, networks, sources, FGSM(eps=grid.eps))
        return replace(grid, cells=cells)


def _charts(grids: Sequence[TransferGrid]) -> dict[str, tuple[LineChart, ...]]:
    """Return the paper's victims, and those beyond it as far as they were shown anything."""
    figures = {
        "table2": (None, *OF_PAPER),
        "table2-beyond": tuple(victim for victim in VICTIMS if victim not in OF_PAPER),
    }
    charts = {
        name: tuple(transfer_chart(grid, rows) for grid in grids) for name, rows in figures.items()
    }
    return {
        name: tuple(panel for panel in panels if panel.series)
        for name, panels in charts.items()
        if any(panel.series for panel in panels)
    }


def _networks(
    grid: TransferGrid, ways: Sequence[WayOfTraining], scale: Scale, seed: int
) -> list[Network]:
    return [scale.of(way.network(grid.recipe, grid.beta, seed)) for way in ways]


def _printed_cells(
    grid: TransferGrid,
) -> list[tuple[WayOfTraining, WayOfTraining | None, str]]:
    """Return source, victim (None: itself) and path of the cells that the paper prints."""
    return [
        (source, victim, path)
        for source in OF_PAPER
        for victim in (None, *OF_PAPER)
        if (path := grid.printed_path(source, victim)) is not None
    ]


def _compared(
    bench: Workbench,
    grid: TransferGrid,
    source: WayOfTraining,
    victim: WayOfTraining | None,
    path: str,
) -> Compared:
    to = "itself" if victim is None else grid.label(victim)
    cell = grid.cell(source, victim)
    return compared_accuracy(
        f"{grid.recipe.title}: from {grid.label(source)} to {to} (%)",
        PAPER,
        path,
        () if cell is None else cell.points,
        obstacle=obstacle_at(bench.scale, grid.recipe.caution),
        note="" if cell is None else _note(cell, is_self=victim is None),
    )


def _note(cell: TransferCell, *, is_self: bool) -> str:
    text = f"{len(cell.points)} {'network(s)' if is_self else 'pair(s) of networks'}"
    if not cell.is_crossed:
        text += " of one seed but different trainings, for want of others"
    return text

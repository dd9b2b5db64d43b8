"""The supplement's Figures 2 and 3: networks of one configuration, trained independently."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    accuracy_series,
    measured_accuracies,
)
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.recipes import RECIPES, Kind, Recipe
from steadygrad.experiments.yeats2021.white_box import ATTACK

__all__ = ["SUPPLEMENT_FIGURE2", "SUPPLEMENT_FIGURE3", "IndependentNetworks"]

FEWEST = 3
"""Networks of each kind, as in the supplement (A, B, C)."""


@dataclass(frozen=True, kw_only=True)
class IndependentNetworks:
    """What the seed alone decides: complex, real and smooth real networks at one strength."""

    name: str
    recipe: Recipe
    beta: float
    eps_values: tuple[float, ...]
    kinds: tuple[Kind, ...] = ("complex", "real", "gelu")

    @property
    def title(self) -> str:
        """What it shows."""
        return f"independently trained networks under PGD(8) on {self.recipe.title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return networks of the seeds asked for, and of those that follow until there are three.

        A network of one seed has the seed in its label: each is a line of its own.
        """
        return tuple(n for kind in self.kinds for n in self._of(kind, scale, seeds))

    def _of(self, kind: Kind, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        chosen = list(seeds)
        while len(chosen) < FEWEST:
            chosen.append(max(chosen) + 1)
        networks = (
            scale.of(self.recipe.penalised_network(kind, self.beta, seed=seed)) for seed in chosen
        )
        return tuple(Network(f"{n.label}, seed {n.config.seed}", n.config) for n in networks)

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the supplement prints no numbers for these figures."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack each network; say how far apart those of a kind are."""
        radii = bench.scale.radii(self.eps_values, ())
        charts, rows = [], []
        for kind in self.kinds:
            networks = self._of(kind, bench.scale, bench.seeds)
            measured = measured_accuracies(bench, networks, ATTACK, radii).values()
            if measured:
                name = self.recipe.penalised_network(kind, self.beta, seed=0).label
                rows += _spread(name, tuple(measured), radii)
                charts.append(
                    LineChart(
                        title=f"{self.recipe.title}: {name}",
                        x_label="radius eps of PGD(8) (share of the pixel range)",
                        y_label="accuracy (%)",
                        series=tuple(accuracy_series(one) for one in measured),
                    )
                )
        stem = self.name.split("/")[1]
        return ExperimentOutcome(
            caption=f"{self.recipe.title}, scale {bench.scale.name}, beta {self.beta:g}: PGD(8) "
            f"with a random start on the first {bench.scale.attacked:,} test images; one line for "
            "each seed; bands are 95 % intervals for the choice of images.",
            charts={stem: charts},
            tables={
                stem: Table(
                    title=f"Between independently trained networks: {self.recipe.title}",
                    columns=("network", "eps", "networks", "lowest", "mean", "highest", "range"),
                    rows=tuple(rows),
                    note="Accuracies in percent, clean and under PGD(8); the range in points.",
                )
            },
        )


def _spread(
    name: str, measured: Sequence[Accuracies], radii: Sequence[float]
) -> list[tuple[Cell, ...]]:
    return [
        (name, "clean", *_range([one.clean_accuracy for one in measured])),
        *((name, f"{eps:.3g}", *_range([one.at(eps) for one in measured])) for eps in radii[1:]),
    ]


def _range(points: Sequence[MeanAccuracy]) -> tuple[Cell, ...]:
    values = [100 * point.accuracy for point in points]
    mean = sum(values) / len(values)
    numbers = (min(values), mean, max(values), max(values) - min(values))
    return len(values), *(round(number, 1) for number in numbers)


_GRID = tuple(k / 50 for k in range(16))

SUPPLEMENT_FIGURE2 = IndependentNetworks(
    name="yeats2021/supplement-figure2", recipe=RECIPES["mnist"], beta=512, eps_values=_GRID
)
SUPPLEMENT_FIGURE3 = IndependentNetworks(
    name="yeats2021/supplement-figure3", recipe=RECIPES["fashion_mnist"], beta=64, eps_values=_GRID
)

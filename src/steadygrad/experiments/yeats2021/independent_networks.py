"""The supplement's Figures 2 and 3: networks of one configuration, trained independently."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.evaluation import AccuracyPoint
from steadygrad.experiments.accuracies import Accuracies, accuracy_series, measured_accuracies
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
        chosen = list(seeds)
        while len(chosen) < FEWEST:
            chosen.append(max(chosen) + 1)
        return tuple(
            Network(f"{network.label}, seed {seed}", scale.shrink(network.config))
            for kind in self.kinds
            for seed in chosen
            for network in [self.recipe.penalised_network(kind, self.beta, seed=seed)]
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the supplement prints no numbers for these figures."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack each network; say how far apart those of a kind are."""
        networks = self.networks(bench.scale, bench.seeds)
        radii = bench.scale.radii(self.eps_values, ())
        measured = measured_accuracies(bench, networks, ATTACK, radii)
        charts = []
        for kind in self.kinds:
            lines = [one for one in measured.values() if self._kind(one) == kind]
            if lines:
                charts.append(
                    LineChart(
                        title=f"{self.recipe.title}: {lines[0].label.rsplit(', seed', 1)[0]}",
                        x_label="radius eps of PGD(8) (share of the pixel range)",
                        y_label="accuracy (%)",
                        series=tuple(accuracy_series(one) for one in lines),
                    )
                )
        stem = self.name.split("/")[1]
        return ExperimentOutcome(
            caption=f"{self.recipe.title}, scale {bench.scale.name}, beta {self.beta:g}: PGD(8) "
            f"with a random start on the first {bench.scale.attacked:,} test images; one line for "
            "each seed; bands are 95 % intervals for the choice of images.",
            charts={stem: charts},
            tables={stem: self._spread(measured, radii)},
        )

    def _kind(self, accuracies: Accuracies) -> Kind:
        model = accuracies.networks[0].config.model
        return next(kind for kind in self.kinds if self.recipe.models[kind] == model)

    def _spread(self, measured: dict[str, Accuracies], radii: Sequence[float]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for kind in self.kinds:
            group = [one for one in measured.values() if self._kind(one) == kind]
            if not group:
                continue
            name = group[0].label.rsplit(", seed", 1)[0]
            rows.append((name, "clean", *_range([one.clean_accuracy for one in group])))
            rows += [
                (name, f"{eps:.3g}", *_range([one.at(eps) for one in group])) for eps in radii[1:]
            ]
        return Table(
            title=f"Between independently trained networks: {self.recipe.title}",
            columns=("network", "eps", "networks", "lowest", "mean", "highest", "range"),
            rows=tuple(rows),
            note="Accuracies in percent, clean and under PGD(8); the range in points.",
        )


def _range(points: Sequence[AccuracyPoint]) -> tuple[Cell, ...]:
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

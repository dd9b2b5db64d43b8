"""Accuracy under PGD(8) against its radius, network by network: what Figures 6 to 10 show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from steadygrad.attacks import PGD
from steadygrad.experiments.accuracies import (
    Accuracies,
    accuracy_series,
    accuracy_table,
    measured_accuracies,
)
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import ExperimentOutcome
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_table
from steadygrad.experiments.yeats2021.matched import at_equal_clean_accuracy, at_equal_time
from steadygrad.experiments.yeats2021.printed import (
    PAPER,
    Printed,
    PrintedAccuracy,
    PrintedDifference,
    compared_with_print,
    obstacle_at,
)
from steadygrad.experiments.yeats2021.recipes import NEIGHBOUR, Kind, Recipe

__all__ = ["ATTACK", "PERCENT_RANGE", "RADIUS_LABEL", "WhiteBox"]

ATTACK = PGD(eps=0.0, steps=8)
RADIUS_LABEL = "radius eps of PGD(8) (share of the pixel range)"
PERCENT_RANGE = (-3.0, 103.0)
"""What the axis of accuracies covers, so that panels can be compared."""


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """One data set's networks under attack.

    betas: strengths of the penalty, by kind of network, the strongest last; where the paper's text
        does not name them they are ours.
    judged_eps: radius, one of ``eps_values``, of the worst case and of comparisons at equal clean
        accuracy and equal time.
    equal_time_epochs: after which a PGD-trained real network has taken as long as the complex
        one with the penalty, both on one core, by their steps in ``step_seconds.json``.
    neighbour: half-width of the uniform noise of "the penalty at a random neighbour".
    adversary: kind of the network that the paper trains on PGD; wider_attack_eps: a second radius
        for it to learn from, where the recipe's is smaller than ``judged_eps``.
    """

    name: str
    recipe: Recipe
    betas: Mapping[Kind, tuple[float, ...]]
    eps_values: tuple[float, ...]
    judged_eps: float
    equal_time_epochs: int
    printed: tuple[Printed, ...] = ()
    neighbour: float = NEIGHBOUR
    adversary: Kind = "real"
    wider_attack_eps: float | None = None

    @property
    def title(self) -> str:
        """What it shows."""
        return f"PGD(8) accuracy against radius on {self.recipe.title}"

    @property
    def stem(self) -> str:
        """What its files are called."""
        return self.name.split("/")[1]

    @property
    def strongest(self) -> str:
        """Label of the complex network with the strongest penalty."""
        return self.with_strongest("complex", 0).label

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks first, then what goes beyond them."""
        return tuple(
            scale.of(network)
            for seed in seeds
            for network in (*self._of_paper(seed), *self._beyond(seed))
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with."""
        return tuple(entry.path for entry in self.printed)

    def _of_paper(self, seed: int) -> tuple[Network, ...]:
        recipe = self.recipe
        kinds = [kind for kind in self.betas if "gelu" not in kind]
        radii = [None] if self.wider_attack_eps is None else [None, self.wider_attack_eps]
        return (
            *(recipe.plain(kind, seed=seed) for kind in kinds),
            *(
                recipe.penalised_network(kind, beta, seed=seed)
                for kind in kinds
                for beta in self.betas[kind]
            ),
            self.frozen(seed),
            *(recipe.pgd_trained(self.adversary, seed=seed, eps=eps) for eps in radii),
        )

    def with_strongest(self, kind: Kind, seed: int, second_order: str = "exact") -> Network:
        """Return a network with the complex network's strongest penalty."""
        beta = self.betas["complex"][-1]
        return self.recipe.penalised_network(kind, beta, seed=seed, second_order=second_order)

    def frozen(self, seed: int) -> Network:
        """Return the complex network at the strongest penalty by the rule of the paper's code."""
        return self.with_strongest("complex", seed, "frozen_phase")

    def _beyond(self, seed: int) -> tuple[Network, ...]:
        recipe = self.recipe
        twins = [kind for kind in self.betas if "gelu" in kind]
        twin_of_adversary: Kind = "wide gelu" if self.adversary == "wide real" else "gelu"
        return (
            *(recipe.plain(kind, seed=seed) for kind in twins),
            *(
                recipe.penalised_network(kind, strength, seed=seed)
                for kind in twins
                for strength in self.betas[kind]
            ),
            *self.at_a_neighbour(seed),
            recipe.pgd_trained(twin_of_adversary, seed=seed),
            recipe.pgd_trained(self.adversary, seed=seed, epochs=self.equal_time_epochs),
        )

    def at_a_neighbour(self, seed: int) -> tuple[Network, ...]:
        """Return those with the strongest penalty at a random neighbour, and its noise alone."""
        return self.recipe.at_a_neighbour(
            self.betas["complex"][-1], seed=seed, half_width=self.neighbour
        )

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every network at every radius, and some images with everything."""
        networks = self.networks(bench.scale, bench.seeds)
        needed = [self.judged_eps]
        needed += [
            entry.eps
            for entry in self.printed
            if isinstance(entry, PrintedAccuracy | PrintedDifference)
        ]
        radii = bench.scale.radii(self.eps_values, [self.judged_eps, *needed])
        measured = measured_accuracies(bench, networks, ATTACK, radii)
        caption = (
            f"{self.recipe.title}, scale {bench.scale.name}: PGD(8) with a random start, step "
            f"1.85 eps / 8, on the first {bench.scale.attacked:,} test images; seeds "
            f"{', '.join(map(str, bench.seeds))}; bands and bars are 95 % intervals for the "
            f"choice of images. Clean accuracies in the tables: {_clean_images(bench.scale)}. "
            f"Worst case: the first {bench.scale.worst_case} test images."
        )
        if self.recipe.caution:
            caption += f" Not comparable with the paper: {self.recipe.caution}."
        equal_time = at_equal_time(bench, measured, self.judged_eps)
        return ExperimentOutcome(
            caption=caption,
            charts={**self._charts(measured), f"{self.stem}-matched": equal_time.charts},
            tables={
                self.stem: accuracy_table(self.title, measured),
                f"{self.stem}-worst-case": worst_case_table(
                    bench, measured, self.judged_eps, self.recipe.title
                ),
                f"{self.stem}-equal-clean-accuracy": at_equal_clean_accuracy(
                    measured, self.judged_eps
                ),
                f"{self.stem}-equal-time": equal_time.table,
            },
            compared=self.compared(bench, measured),
        )

    def compared(
        self, bench: Workbench, measured: Mapping[str, Accuracies]
    ) -> tuple[Compared, ...]:
        """Return the printed numbers beside ours."""
        obstacle = obstacle_at(bench.scale, self.recipe.caution)
        return compared_with_print((*self.printed, *self._by_frozen_phase()), measured, obstacle)

    def _by_frozen_phase(self) -> tuple[Printed, ...]:
        """Return the strongest complex network's accuracies, for the rule of the paper's code."""
        labels = (self.frozen(0).label,)
        return tuple(
            replace(entry, quantity=f"{entry.quantity}, by frozen phase", labels=labels)
            for entry in self.printed
            if isinstance(entry, PrintedAccuracy) and self.strongest in entry.labels
        )

    def _charts(self, measured: Mapping[str, Accuracies]) -> dict[str, tuple[LineChart, ...]]:
        """Return the paper's networks, and what goes beyond them, as far as they are trained."""
        of_paper = [network.label for network in self._of_paper(0)]
        stars: dict[tuple[float, float], list[str]] = {}
        for entry in self.printed:
            if isinstance(entry, PrintedAccuracy) and len(entry.labels) == 1:
                place = entry.eps, published_number(PAPER, entry.path)
                stars.setdefault(place, []).append(entry.labels[0])
        chart = LineChart(
            title=f"{self.recipe.title}: the paper's networks",
            x_label=RADIUS_LABEL,
            y_label="accuracy (%)",
            series=tuple(accuracy_series(measured[k]) for k in measured if k in of_paper),
            printed=tuple(PrintedPoint("; ".join(names), *at) for at, names in stars.items()),
            y_range=PERCENT_RANGE,
        )
        more = [label for label in measured if label not in of_paper]
        both_rules = self.strongest, self.frozen(0).label
        shown = [label for label in (*both_rules, *more) if label in measured]
        beyond = replace(
            chart,
            title=f"{self.recipe.title}: beyond the paper",
            series=tuple(accuracy_series(measured[label]) for label in shown),
            printed=(),
        )
        charts = {self.stem: chart} if chart.series else {}
        if more:
            charts[f"{self.stem}-beyond"] = beyond
        return {name: (panel,) for name, panel in charts.items()}


def _clean_images(scale: Scale) -> str:
    return "all test images" if scale.clean is None else f"the first {scale.clean} test images"

"""The supplement's Figures 2 and 3: networks of one configuration, trained independently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from steadygrad.experiments.accuracies import (
    Accuracies,
    accuracy_series,
    measured_accuracies,
)
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_table
from steadygrad.experiments.yeats2021.recipes import Kind
from steadygrad.experiments.yeats2021.robustness import FIGURE6, FIGURE7
from steadygrad.experiments.yeats2021.white_box import ATTACK, PERCENT_RANGE, RADIUS_LABEL, WhiteBox

__all__ = ["SUPPLEMENT_FIGURE2", "SUPPLEMENT_FIGURE3", "IndependentNetworks"]

FEWEST = 3
"""Networks of each kind, as in the supplement (A, B, C)."""


@dataclass(frozen=True, kw_only=True)
class IndependentNetworks:
    """What the seed alone decides: the networks of a figure that have its strongest penalty.

    figure: whose data set, strongest beta, radii and controls beyond the paper these are.
    """

    name: str
    figure: WhiteBox

    @property
    def title(self) -> str:
        """What it shows."""
        return f"independently trained networks under PGD(8) on {self.figure.recipe.title}"

    @property
    def stem(self) -> str:
        """What its files are called."""
        return self.name.split("/")[1]

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return networks of the seeds asked for, and of those that follow until there are three.

        Kind by kind, the paper's first; a network has its seed in its label, as each is a line.
        """
        return tuple(n for kind in self._kinds(scale, seeds).values() for n in kind)

    def _kinds(self, scale: Scale, seeds: Sequence[int]) -> dict[str, tuple[Network, ...]]:
        """Return the networks of every seed by what they have in common."""
        chosen = list(seeds)
        while len(chosen) < FEWEST:
            chosen.append(max(chosen) + 1)
        kinds: dict[str, list[Network]] = {}
        for seed in chosen:
            for network in (*self._of_paper(seed), *self._beyond(seed)):
                own = Network(f"{network.label}, seed {seed}", network.config)
                kinds.setdefault(network.label, []).append(scale.of(own))
        return {name: tuple(networks) for name, networks in kinds.items()}

    def _of_paper(self, seed: int) -> tuple[Network, ...]:
        """Return the complex network by both rules, and the real one."""
        return (
            self._penalised("complex", seed),
            self._penalised("real", seed),
            self.figure.frozen(seed),
        )

    def _beyond(self, seed: int) -> tuple[Network, ...]:
        return self._penalised("gelu", seed), *self.figure.at_a_neighbour(seed)

    def _penalised(self, kind: Kind, seed: int) -> Network:
        beta = self.figure.betas["complex"][-1]
        return self.figure.recipe.penalised_network(kind, beta, seed=seed)

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the supplement prints no numbers for these figures."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack each network; say how far apart those of a kind are."""
        figure = self.figure
        radii = bench.scale.radii(figure.eps_values, [figure.judged_eps])
        kinds = self._kinds(bench.scale, bench.seeds)
        measured = {
            name: measured_accuracies(bench, networks, ATTACK, radii)
            for name, networks in kinds.items()
            if bench.trained(networks)
        }
        of_paper = [network.label for network in self._of_paper(0)]
        panels: dict[str, list[LineChart]] = {}
        for name, of_kind in measured.items():
            stem = self.stem if name in of_paper else f"{self.stem}-beyond"
            panels.setdefault(stem, []).append(self._panel(name, of_kind))
        every = {label: one for of_kind in measured.values() for label, one in of_kind.items()}
        return ExperimentOutcome(
            caption=f"{figure.recipe.title}, scale {bench.scale.name}: PGD(8) with a random start "
            f"on the first {bench.scale.attacked:,} test images; one line for each seed; bands are "
            "95 % intervals for the choice of images. Worst case: the first "
            f"{bench.scale.worst_case} test images.",
            charts=panels,
            tables={
                self.stem: _spread_table(self.title, measured, radii),
                f"{self.stem}-worst-case": worst_case_table(
                    bench, every, figure.judged_eps, figure.recipe.title
                ),
            },
        )

    def _panel(self, name: str, of_kind: Mapping[str, Accuracies]) -> LineChart:
        return LineChart(
            title=f"{self.figure.recipe.title}: {name}",
            x_label=RADIUS_LABEL,
            y_label="accuracy (%)",
            series=tuple(
                replace(accuracy_series(one), label=f"seed {one.networks[0].config.seed}")
                for one in of_kind.values()
            ),
            y_range=PERCENT_RANGE,
        )


def _spread_table(
    title: str, measured: Mapping[str, Mapping[str, Accuracies]], radii: Sequence[float]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, of_kind in measured.items():
        points = [[one.clean_accuracy, *(one.at(eps) for eps in radii)] for one in of_kind.values()]
        accuracies = [
            [100 * point.accuracy for point in column] for column in zip(*points, strict=True)
        ]
        for what, of in (("lowest", min), ("mean", fmean), ("highest", max)):
            rows.append((name, len(points), what, *(round(of(all_), 1) for all_ in accuracies)))
    return Table(
        title=f"What the seed decides: {title}",
        columns=("network", "of how many", "which", "clean", *(f"eps {eps:.3g}" for eps in radii)),
        rows=tuple(rows),
        note="Accuracies in percent, clean and under PGD(8).",
    )


SUPPLEMENT_FIGURE2 = IndependentNetworks(name="yeats2021/supplement-figure2", figure=FIGURE6)
SUPPLEMENT_FIGURE3 = IndependentNetworks(name="yeats2021/supplement-figure3", figure=FIGURE7)

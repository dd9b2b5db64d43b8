"""The supplement's Figures 2 and 3: networks of one configuration, trained independently."""

from collections.abc import Iterable, Sequence
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

        Kind by kind, the paper's first.
        """
        chosen = list(seeds)
        while len(chosen) < FEWEST:
            chosen.append(max(chosen) + 1)
        of_seeds = ((*self._of_paper(seed), *self._beyond(seed)) for seed in chosen)
        return tuple(scale.of(network) for kind in zip(*of_seeds, strict=True) for network in kind)

    def _of_paper(self, seed: int) -> tuple[Network, ...]:
        """Return the complex network by both rules, and the real one."""
        figure = self.figure
        return (
            figure.with_strongest("complex", seed),
            figure.with_strongest("real", seed),
            figure.frozen(seed),
        )

    def _beyond(self, seed: int) -> tuple[Network, ...]:
        return self.figure.with_strongest("gelu", seed), *self.figure.at_a_neighbour(seed)

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the supplement prints no numbers for these figures."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack each network; say how far apart those of a kind are."""
        figure = self.figure
        radii = bench.scale.radii(figure.eps_values, [figure.judged_eps])
        networks = self.networks(bench.scale, bench.seeds)
        measured = measured_accuracies(bench, networks, ATTACK, radii)
        of_paper = [network.label for network in self._of_paper(0)]
        panels: dict[str, list[LineChart]] = {}
        for label, accuracies in measured.items():
            stem = self.stem if label in of_paper else f"{self.stem}-beyond"
            panels.setdefault(stem, []).append(self._panel(accuracies))
        alone = {
            one.label: one
            for accuracies in measured.values()
            for one in accuracies.by_seed().values()
        }
        return ExperimentOutcome(
            caption=f"{figure.recipe.title}, scale {bench.scale.name}: PGD(8) with a random start "
            f"on the first {bench.scale.attacked:,} test images; one line for each seed; bands are "
            "95 % intervals for the choice of images. Worst case: the first "
            f"{bench.scale.worst_case} test images.",
            charts=panels,
            tables={
                self.stem: _spread_table(self.title, measured.values(), radii),
                f"{self.stem}-worst-case": worst_case_table(
                    bench, alone, figure.judged_eps, figure.recipe.title
                ),
            },
        )

    def _panel(self, accuracies: Accuracies) -> LineChart:
        return LineChart(
            title=f"{self.figure.recipe.title}: {accuracies.label}",
            x_label=RADIUS_LABEL,
            y_label="accuracy (%)",
            series=tuple(
                replace(accuracy_series(one), label=f"seed {seed}")
                for seed, one in accuracies.by_seed().items()
            ),
            y_range=PERCENT_RANGE,
        )


def _spread_table(title: str, measured: Iterable[Accuracies], radii: Sequence[float]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for accuracies in measured:
        each = [
            [100 * point.accuracy for point in (clean, *curve)]
            for clean, curve in zip(accuracies.clean, accuracies.curves, strict=True)
        ]
        for which, summary in (("lowest", min), ("mean", fmean), ("highest", max)):
            values = (round(summary(column), 1) for column in zip(*each, strict=True))
            rows.append((accuracies.label, len(each), which, *values))
    return Table(
        title=f"What the seed decides: {title}",
        columns=("network", "of how many", "which", "clean", *(f"eps {eps:.3g}" for eps in radii)),
        rows=tuple(rows),
        note="Accuracies in percent, clean and under PGD(8).",
    )


SUPPLEMENT_FIGURE2 = IndependentNetworks(name="yeats2021/supplement-figure2", figure=FIGURE6)
SUPPLEMENT_FIGURE3 = IndependentNetworks(name="yeats2021/supplement-figure3", figure=FIGURE7)

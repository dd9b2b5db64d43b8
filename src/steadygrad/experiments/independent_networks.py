"""What the seed alone decides: networks of one configuration, trained independently."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from steadygrad.experiments.accuracies import Accuracies, accuracy_series, measured_accuracies
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE, Curves
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_table

__all__ = ["IndependentNetworks"]


@dataclass(frozen=True, kw_only=True)
class IndependentNetworks(Artefact):
    """Networks that differ by their seed alone: a panel for each variant, a line for each seed.

    Args:
        data_title: the data set for people.
        curves: the attack and its radii.
        of_paper: networks of the paper; beyond: ours besides, in a figure of their own. Of seed 0
            and the paper's scale.
        fewest: seeds of each, whatever fewer are asked for.
    """

    data_title: str
    curves: Curves
    of_paper: tuple[Network, ...]
    beyond: tuple[Network, ...] = ()
    fewest: int = 3

    @property
    def title(self) -> str:
        """What it shows."""
        return f"independently trained networks under {self.curves.name} on {self.data_title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return networks of the seeds asked for, and of those that follow until there are enough.

        Variant by variant, the paper's first.
        """
        chosen = list(seeds)
        while len(chosen) < self.fewest:
            chosen.append(max(chosen) + 1)
        return tuple(
            network
            for variant in (*self.of_paper, *self.beyond)
            for network in scale.all_of([variant], chosen)
        )

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack each network; say how far apart those of a variant are."""
        radii = self.curves.radii(bench.scale)
        networks = self.networks(bench.scale, bench.seeds)
        measured = measured_accuracies(bench, networks, self.curves.attack, radii)
        of_paper = {network.variant for network in self.of_paper}
        panels: dict[str, list[LineChart]] = {}
        for variant, accuracies in measured.items():
            stem = self.stem if variant in of_paper else f"{self.stem}-beyond"
            panels.setdefault(stem, []).append(self._panel(accuracies))
        found = tuple(measured.values())
        alone = [one for accuracies in found for one in accuracies.by_seed().values()]
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: {self.curves.name} with a "
            f"random start on the first {bench.scale.attacked:,} test images; one line for each "
            "seed; bands are 95 % intervals for the choice of images. Worst case: the first "
            f"{bench.scale.worst_case} test images.",
            charts=panels,
            tables={
                self.stem: self._spread_table(found, radii),
                f"{self.stem}-worst-case": worst_case_table(
                    bench, alone, self.curves.judged_eps, self.data_title
                ),
            },
        )

    def _panel(self, accuracies: Accuracies) -> LineChart:
        return LineChart(
            title=f"{self.data_title}: {accuracies.label}",
            x_label=self.curves.x_label,
            y_label="accuracy (%)",
            series=tuple(
                replace(accuracy_series(one), label=f"seed {seed}")
                for seed, one in accuracies.by_seed().items()
            ),
            y_range=PERCENT_RANGE,
        )

    def _spread_table(self, measured: Iterable[Accuracies], radii: Sequence[float]) -> Table:
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
            title=f"What the seed decides: {self.title}",
            columns=(
                "network",
                "of how many",
                "which",
                "clean",
                *(f"eps {eps:.3g}" for eps in radii),
            ),
            rows=tuple(rows),
            note=f"Accuracies in percent, clean and under {self.curves.name}.",
        )

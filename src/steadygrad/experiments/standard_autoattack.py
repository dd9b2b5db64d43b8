"""What full standard AutoAttack leaves of networks, radius by radius."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.attacks import AutoAttack
from steadygrad.experiments.accuracies import mean_accuracy, percent_interval, percent_series
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import BatteryAttack, WorstCase, attacked_in_turn

__all__ = ["StandardAutoAttack"]

KEY = "AutoAttack, standard"

PART = 200
"""Images that are attacked and kept at a time: what an interrupted run loses at most."""


@dataclass(frozen=True, kw_only=True)
class StandardAutoAttack(Artefact):
    """APGD-CE, targeted APGD and FAB against nine classes, and Square, as their authors set them.

    Args:
        data_title: the data set for people; attacked_networks: of seed 0.
        eps_values: the radii, ascending; images: of the test set, at most: a standard run takes
            some 7,000 passes for every image that stands.
        caution: what a reader has to know of the networks.
    """

    title: str
    data_title: str
    attacked_networks: tuple[Network, ...]
    eps_values: tuple[float, ...]
    images: int
    caution: str = ""

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed."""
        return scale.all_of(self.attacked_networks, seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every network that is trained at every radius."""
        found: dict[str, list[tuple[Network, list[WorstCase]]]] = {}
        limit = min(self.images, bench.scale.attacked)
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            worst = [self._left(bench, network, eps, limit) for eps in self.eps_values]
            found.setdefault(network.variant, []).append((network, worst))
        rows: list[tuple[Cell, ...]] = []
        series = []
        for seeds in found.values():
            label, several = seeds[0][0].label, len(seeds) > 1
            for network, worst in seeds:
                rows.append(self._row(label, str(network.config.seed), [[one] for one in worst]))
            together = [[worst[at] for _, worst in seeds] for at in range(len(self.eps_values))]
            if several:
                rows.append(self._row(label, f"mean of {len(seeds)}", together))
            points = [mean_accuracy([one.point for one in at_eps]) for at_eps in together]
            series.append(percent_series(label, self.eps_values, points))
        chart = LineChart(
            title=f"{self.data_title}: {self.title}",
            x_label="radius eps of AutoAttack (share of the pixel range)",
            y_label="accuracy (%)",
            series=tuple(series),
            y_range=PERCENT_RANGE,
        )
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: standard AutoAttack on the "
            f"first {limit:,} test images; bands are 95 % intervals for the choice of images. "
            f"{self.caution}".strip(),
            charts={self.stem: (chart,)} if series else {},
            tables={self.stem: self._table(rows, limit)},
        )

    def _left(self, bench: Workbench, network: Network, eps: float, limit: int) -> WorstCase:
        battery = (BatteryAttack(KEY, KEY, AutoAttack(eps=eps)),)
        parts = [
            attacked_in_turn(bench, network, eps, battery, min(first + PART, limit), first)
            for first in range(0, limit, PART)
        ]
        return WorstCase(
            eps,
            sum(part.n for part in parts),
            sum(part.correct for part in parts),
            {KEY: sum(part.broken_by[KEY] for part in parts)},
        )

    def _row(
        self, label: str, seed: str, by_eps: Sequence[Sequence[WorstCase]]
    ) -> tuple[Cell, ...]:
        first = by_eps[0]
        clean = sum(one.correct for one in first) / sum(one.n for one in first)
        row: list[Cell] = [label, seed, round(100 * clean, 1)]
        for at_eps in by_eps:
            left = mean_accuracy([one.point for one in at_eps])
            row += [round(100 * left.accuracy, 1), percent_interval(left)]
        return tuple(row)

    def _table(self, rows: Sequence[tuple[Cell, ...]], limit: int) -> Table:
        intervals = tuple(f"95 % interval at {eps:.3g}" for eps in self.eps_values)
        pairs = [
            (f"AutoAttack at {eps:.3g}", interval)
            for eps, interval in zip(self.eps_values, intervals, strict=True)
        ]
        return Table(
            title=f"{self.data_title}: {self.title}",
            columns=("network", "seed", "clean", *(name for pair in pairs for name in pair)),
            rows=tuple(rows),
            intervals=intervals,
            note=f"Percent of the first {limit:,} test images. The intervals are for the choice of "
            "images; seeds differ besides.",
        )

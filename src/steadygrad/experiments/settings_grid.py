"""Settings compared on validation images: one row for each network, one chart for each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    mean_accuracy,
    measured_accuracies,
    percent_interval,
    percent_series,
)
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE, Curves
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_of

__all__ = ["SettingsGrid"]


@dataclass(frozen=True, kw_only=True)
class SettingsGrid(Artefact):
    """Which settings train the most robust network, judged on images cut from the training set.

    Args:
        data_title: the data set for people.
        axes: for each setting that is changed, its values for people and the networks that have
            them; one network may stand on several axes. Of seed 0.
        validation_size: of every network's configuration.
        curves: the attack and its radii.
        worst_eps: radii of the curves at which every attack is tried, on the scale's images for it.
        queries: of Square, an image, at most.
    """

    title: str
    data_title: str
    axes: Mapping[str, Mapping[str, Network]] = field(hash=False)
    validation_size: int
    curves: Curves
    worst_eps: tuple[float, ...]
    queries: int = 1000

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed, each configuration once."""
        found: dict[str, Network] = {}
        for axis, values in self.axes.items():
            for value, network in values.items():
                labelled = replace(network, label=f"{axis}: {value}")
                found.setdefault(network.variant, labelled)
        return scale.all_of(tuple(found.values()), seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack validation images, and a few of them with everything."""
        scale = replace(bench.scale, queries=min(self.queries, bench.scale.queries))
        bench = replace(bench, scale=scale, validation_size=self.validation_size)
        radii = self.curves.radii(scale, self.worst_eps)
        measured = measured_accuracies(
            bench, self.networks(scale, bench.seeds), self.curves.attack, radii
        )
        worst = {
            variant: {eps: self._worst(bench, found, eps) for eps in self.worst_eps}
            for variant, found in measured.items()
        }
        charts = tuple(self._chart(axis, found, worst) for axis, found in self._shown(measured))
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {scale.name}: {self.curves.protocol}, on the first "
            f"{scale.attacked:,} of {self.validation_size:,} validation images, which were cut "
            f"from the training set; seeds {', '.join(map(str, bench.seeds))}; bars are 95 % "
            f"intervals for the choice of images. Worst case: PGD({scale.steps}) with restarts, "
            f"targeted PGD, APGD and Square on the first {scale.worst_case} of them. No test image "
            "decides anything here.",
            charts={self.stem: charts} if charts else {},
            tables={self.stem: self._table(measured, worst)},
        )

    def _worst(self, bench: Workbench, found: Accuracies, eps: float) -> MeanAccuracy:
        return mean_accuracy([worst_case_of(bench, one, eps).point for one in found.networks])

    def _by_axis(
        self, measured: Mapping[str, Accuracies]
    ) -> list[tuple[str, dict[str, Accuracies]]]:
        """Return each axis with what was measured on it, by the value of the setting."""
        axes = []
        for axis, values in self.axes.items():
            variants = {value: network.variant for value, network in values.items()}
            found = {value: measured[v] for value, v in variants.items() if v in measured}
            if found:
                axes.append((axis, found))
        return axes

    def _shown(self, measured: Mapping[str, Accuracies]) -> list[tuple[str, dict[str, Accuracies]]]:
        """Return the axes that show something: several values, or one that no other axis has."""
        shown, seen = [], set[str]()
        for axis, found in self._by_axis(measured):
            variants = {one.networks[0].variant for one in found.values()}
            if len(found) > 1 or not variants <= seen:
                shown.append((axis, found))
            seen |= variants
        return shown

    def _table(
        self,
        measured: Mapping[str, Accuracies],
        worst: Mapping[str, Mapping[float, MeanAccuracy]],
    ) -> Table:
        columns = ["setting", "value", "seeds", "clean"]
        columns += [f"{self.curves.name} at {eps:.3g}" for eps in self.worst_eps]
        intervals = []
        for eps in self.worst_eps:
            intervals.append(f"95 % interval at {eps:.3g}")
            columns += [f"worst case at {eps:.3g}", intervals[-1]]
        rows: list[tuple[Cell, ...]] = []
        for axis, found in self._by_axis(measured):
            for value, one in found.items():
                row: list[Cell] = [axis, value, len(one.networks)]
                row.append(round(100 * one.clean_accuracy.accuracy, 2))
                row += [round(100 * one.at(eps).accuracy, 1) for eps in self.worst_eps]
                for eps in self.worst_eps:
                    left = worst[one.networks[0].variant][eps]
                    row += [round(100 * left.accuracy, 1), percent_interval(left)]
                rows.append(tuple(row))
        return Table(
            title=f"{self.data_title}: {self.title}",
            columns=tuple(columns),
            rows=tuple(rows),
            intervals=tuple(intervals),
            note="Accuracies in percent of validation images. A network appears once on every axis "
            "that it belongs to.",
        )

    def _chart(
        self,
        axis: str,
        found: Mapping[str, Accuracies],
        worst: Mapping[str, Mapping[float, MeanAccuracy]],
    ) -> LineChart:
        lines: list[tuple[str, list[MeanAccuracy]]] = [
            ("clean", [one.clean_accuracy for one in found.values()])
        ]
        for eps in self.worst_eps:
            lines.append(
                (f"{self.curves.name} at {eps:.3g}", [one.at(eps) for one in found.values()])
            )
            lines.append(
                (
                    f"worst case at {eps:.3g}",
                    [worst[one.networks[0].variant][eps] for one in found.values()],
                )
            )
        step = 0.6 / len(lines)
        return LineChart(
            title=axis,
            x_label=axis,
            y_label="accuracy on validation images (%)",
            series=tuple(
                percent_series(
                    label,
                    [at + step * (index - (len(lines) - 1) / 2) for at in range(len(found))],
                    points,
                    drawn="points",
                )
                for index, (label, points) in enumerate(lines)
            ),
            x_names=tuple(found),
            y_range=PERCENT_RANGE,
        )

"""Networks against disturbances that none of them was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steadygrad.attacks import Attack
from steadygrad.evaluation import AccuracyPoint, predictions
from steadygrad.evaluation.corruptions import Corruption
from steadygrad.experiments.accuracies import (
    difference_cell,
    mean_accuracy,
    percent_interval,
    percent_series,
)
from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench
from steadygrad.json_file import required
from steadygrad.seeds import derived_generator

__all__ = ["UnseenDisturbances"]

CLEAN = "clean"

CLEAN_TOLERANCE = 0.02
"""Clean accuracies this near count as equal."""


@dataclass(frozen=True, kw_only=True)
class UnseenDisturbances(Artefact):
    """Which training helps against what: a row for each network, a column for each disturbance.

    Args:
        data_title: the data set for people; compared_networks: of seed 0 and the paper's scale;
            the first is the one that the others' gain is counted from.
        corruptions: by the name for people; attacks: the same, at the radius that each has.
    """

    title: str
    data_title: str
    compared_networks: tuple[Network, ...]
    corruptions: Mapping[str, Corruption] = field(hash=False)
    attacks: Mapping[str, Attack] = field(hash=False)

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed."""
        return scale.all_of(self.compared_networks, seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Disturb the first test images in every way."""
        measured: dict[str, dict[str, list[AccuracyPoint]]] = {}
        labels: dict[str, str] = {}
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            labels[network.variant] = network.label
            own = measured.setdefault(network.variant, {})
            for name, point in self._points(bench, network).items():
                own.setdefault(name, []).append(point)
        names = [CLEAN, *self.corruptions, *self.attacks]
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: first {bench.scale.attacked:,} "
            f"test images, disturbed once; seeds {', '.join(map(str, bench.seeds))}; bars are 95 % "
            "intervals for the choice of images. The corruptions are new to every network; of the "
            "attacks, one that a network's name says it was trained on is not.",
            charts={self.stem: (self._chart(names, labels, measured),)} if measured else {},
            tables={
                self.stem: self._table(names, labels, measured),
                f"{self.stem}-equal-clean-accuracy": self._pairs(names, labels, measured),
            },
        )

    def _points(self, bench: Workbench, network: Network) -> dict[str, AccuracyPoint]:
        limit = bench.scale.attacked
        found = {CLEAN: self._corrupted(bench, network, CLEAN, None)}
        for name, corruption in self.corruptions.items():
            found[name] = self._corrupted(bench, network, name, corruption)
        for name, attack in self.attacks.items():
            eps: float = attack.eps
            (found[name],) = bench.points(network, attack, (eps,), limit)
        return found

    def _corrupted(
        self, bench: Workbench, network: Network, name: str, corruption: Corruption | None
    ) -> AccuracyPoint:
        data = bench.image_set(network.config.data, bench.scale.attacked)
        question = bench.question("correct under a corruption", data, corruption=repr(corruption))

        def measure() -> dict[str, Any]:
            bench.progress(f"{network.label}: {name} on {len(data)} images")
            images = data.images()
            if corruption is not None:
                generator = derived_generator(EVALUATION_SEED, f"corruption {corruption!r}")
                images = corruption(images, generator)
            model = bench.model(network)
            right = predictions(model, images, device=bench.device) == data.labels
            return {"correct": int(right.sum())}

        answer = bench.answer(network, question, measure)
        where = f"what was measured of {network.label}"
        return AccuracyPoint(0.0, required(answer, "correct", int, where), len(data))

    def _table(
        self,
        names: Sequence[str],
        labels: Mapping[str, str],
        measured: Mapping[str, Mapping[str, Sequence[AccuracyPoint]]],
    ) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for variant, own in measured.items():
            line: list[Cell] = [labels[variant], len(own[CLEAN])]
            clean = mean_accuracy(own[CLEAN]).accuracy
            for name in names:
                point = mean_accuracy(own[name])
                line += [round(100 * point.accuracy, 1), percent_interval(point)]
            kept = [
                mean_accuracy(own[name]).accuracy / clean if clean else 0.0
                for name in self.corruptions
            ]
            line.append(round(100 * sum(kept) / len(kept), 1))
            rows.append(tuple(line))
        intervals = tuple(f"95 % interval of {name}" for name in names)
        pairs = zip(names, intervals, strict=True)
        return Table(
            title=self.title,
            columns=(
                "network",
                "seeds",
                *(column for pair in pairs for column in pair),
                "kept under corruptions",
            ),
            rows=tuple(rows),
            intervals=intervals,
            note="Accuracies in percent. The last column is the mean over the corruptions of the "
            "accuracy as a share of the clean one: it compares networks of unequal clean accuracy.",
        )

    def _pairs(
        self,
        names: Sequence[str],
        labels: Mapping[str, str],
        measured: Mapping[str, Mapping[str, Sequence[AccuracyPoint]]],
    ) -> Table:
        """Return every two networks of about the same clean accuracy, disturbance by disturbance.

        All but the first, which is the undefended one, are paired.
        """
        rows: list[tuple[Cell, ...]] = []
        defended = list(measured.items())[1:]
        for index, (variant, own) in enumerate(defended):
            for other_variant, others in defended[index + 1 :]:
                clean, other_clean = mean_accuracy(own[CLEAN]), mean_accuracy(others[CLEAN])
                if abs(clean.accuracy - other_clean.accuracy) > CLEAN_TOLERANCE + 1e-9:
                    continue
                for name in names[1:]:
                    point, other = mean_accuracy(own[name]), mean_accuracy(others[name])
                    rows.append(
                        (
                            labels[variant],
                            labels[other_variant],
                            name,
                            round(100 * point.accuracy, 1),
                            round(100 * other.accuracy, 1),
                            round(100 * (point.accuracy - other.accuracy), 1),
                            difference_cell(point, other),
                        )
                    )
        return Table(
            title=f"{self.title}: networks within {100 * CLEAN_TOLERANCE:g} points of clean "
            "accuracy",
            columns=(
                "network",
                "other network",
                "disturbance",
                "accuracy",
                "other's",
                "difference",
                "95 % interval",
            ),
            rows=tuple(rows),
            intervals=("95 % interval",),
            note="Accuracies in percent, differences in points, on the same images; intervals as "
            "for independent ones, so rather too wide. "
            + ("" if rows else "No two defended networks are that near each other."),
        )

    def _chart(
        self,
        names: Sequence[str],
        labels: Mapping[str, str],
        measured: Mapping[str, Mapping[str, Sequence[AccuracyPoint]]],
    ) -> LineChart:
        step = 0.8 / max(len(measured), 1)
        return LineChart(
            title=f"{self.data_title}: {self.title}",
            x_label="disturbance",
            y_label="accuracy (%)",
            series=tuple(
                percent_series(
                    labels[variant],
                    [at + step * (index - (len(measured) - 1) / 2) for at in range(len(names))],
                    [mean_accuracy(own[name]) for name in names],
                    drawn="points",
                )
                for index, (variant, own) in enumerate(measured.items())
            ),
            x_names=tuple(names),
            y_range=PERCENT_RANGE,
        )

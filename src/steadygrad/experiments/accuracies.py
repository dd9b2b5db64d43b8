"""Accuracies of networks that differ by their seed alone, gathered in one place."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from steadygrad.attacks import Attack
from steadygrad.evaluation import AccuracyPoint, wilson_interval
from steadygrad.experiments.chart import Series
from steadygrad.experiments.experiment import Cell, Interval, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.workbench import Workbench

__all__ = [
    "Accuracies",
    "MeanAccuracy",
    "accuracy_series",
    "accuracy_table",
    "difference_cell",
    "difference_interval",
    "mean_accuracy",
    "mean_over_radii",
    "measured_accuracies",
    "percent_interval",
    "percent_series",
]


@dataclass(frozen=True)
class MeanAccuracy:
    """The mean accuracy of some networks, all of them asked about the same ``n`` images."""

    accuracy: float
    n: int

    @property
    def correct(self) -> float:
        """How many of the images that is, on average."""
        return self.accuracy * self.n

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval for the choice of the n images.

        As if one network had been asked: several tell more, but an image that is hard for one is
        hard for the others, so that counting each image once per network would say too much. Other
        seeds are not in it.
        """
        return wilson_interval(self.accuracy * self.n, self.n)


@dataclass(frozen=True)
class Accuracies:
    """What was measured of one variant: a curve and a clean accuracy for each network (seed).

    label: the networks' own; curves: points by ascending radius, the same radii in each.
    """

    label: str
    networks: tuple[Network, ...]
    curves: tuple[tuple[AccuracyPoint, ...], ...]
    clean: tuple[AccuracyPoint, ...]

    @property
    def eps_values(self) -> tuple[float, ...]:
        """The radii of the curves, ascending."""
        return tuple(point.eps for point in self.curves[0])

    def at(self, eps: float) -> MeanAccuracy:
        """Return the accuracy at a radius of the curve, the mean of all seeds."""
        return mean_accuracy(
            [next(p for p in curve if abs(p.eps - eps) < 1e-9) for curve in self.curves]
        )

    @property
    def clean_accuracy(self) -> MeanAccuracy:
        """The accuracy without attack, the mean of all seeds."""
        return mean_accuracy(self.clean)

    @property
    def is_defended(self) -> bool:
        """Whether a penalty, attacks or noise took part in the training."""
        return self.networks[0].is_defended

    def by_seed(self) -> "dict[int, Accuracies]":
        """Return each network alone, with its seed in the label."""
        return {
            network.config.seed: Accuracies(
                f"{self.label}, seed {network.config.seed}", (network,), (curve,), (clean,)
            )
            for network, curve, clean in zip(self.networks, self.curves, self.clean, strict=True)
        }


def mean_accuracy(points: Sequence[AccuracyPoint | MeanAccuracy]) -> MeanAccuracy:
    """Return what several networks, or pairs of them, have on the same images together."""
    correct = sum(point.correct for point in points) / len(points)
    return MeanAccuracy(correct / points[0].n, points[0].n)


def mean_over_radii(points: Sequence[AccuracyPoint]) -> MeanAccuracy:
    """Return the area under a curve, by the trapezoid rule, divided by the range of its radii."""
    area = sum(
        (right.eps - left.eps) * (left.accuracy + right.accuracy) / 2
        for left, right in pairwise(points)
    )
    return MeanAccuracy(area / (points[-1].eps - points[0].eps), points[0].n)


def difference_interval(first: MeanAccuracy, second: MeanAccuracy) -> tuple[float, float]:
    """Return the 95 % interval of the first accuracy minus the second, as fractions.

    Newcombe's for independent samples (Statistics in Medicine 17 (1998), method 10): on shared
    images rather too wide than too narrow.
    """
    difference = first.accuracy - second.accuracy
    (low1, high1), (low2, high2) = first.ci95, second.ci95
    below = math.hypot(first.accuracy - low1, high2 - second.accuracy)
    above = math.hypot(high1 - first.accuracy, second.accuracy - low2)
    return difference - below, difference + above


def measured_accuracies(
    bench: Workbench, networks: Sequence[Network], attack: Attack, eps_values: Sequence[float]
) -> dict[str, Accuracies]:
    """Attack every network at every radius, and count its clean accuracy; by variant.

    Networks that are neither trained nor measured earlier are left out.
    """
    by_variant: dict[str, list[Network]] = {}
    for network in bench.measurable(networks):
        by_variant.setdefault(network.variant, []).append(network)
    return {
        variant: Accuracies(
            group[0].label,
            tuple(group),
            tuple(bench.points(n, attack, eps_values, bench.scale.attacked) for n in group),
            tuple(bench.clean_accuracy(n) for n in group),
        )
        for variant, group in by_variant.items()
    }


def accuracy_series(accuracies: Accuracies) -> Series:
    """Return the mean over the seeds, with its 95 % interval for the choice of images."""
    eps_values = accuracies.eps_values
    return percent_series(accuracies.label, eps_values, [accuracies.at(eps) for eps in eps_values])


def percent_series(
    label: str,
    x: Sequence[float],
    points: Sequence[MeanAccuracy],
    drawn: Literal["line", "points"] = "line",
) -> Series:
    """Return accuracies in percent over x, each with its 95 % interval."""
    bounds = [point.ci95 for point in points]
    return Series(
        label=label,
        x=tuple(x),
        y=tuple(100 * point.accuracy for point in points),
        low=tuple(100 * low for low, _ in bounds),
        high=tuple(100 * high for _, high in bounds),
        drawn=drawn,
    )


def percent_interval(point: MeanAccuracy) -> Interval:
    """Return the 95 % interval of an accuracy, in percent."""
    low, high = point.ci95
    return Interval(100 * low, 100 * high)


def difference_cell(first: MeanAccuracy, second: MeanAccuracy) -> Interval:
    """Return ``difference_interval`` in percentage points."""
    low, high = difference_interval(first, second)
    return Interval(100 * low, 100 * high)


def accuracy_table(title: str, measured: Iterable[Accuracies], x_name: str = "eps") -> Table:
    """Return a row for each network: its clean accuracy and that at every radius, in percent.

    x_name: what stands before each radius in the columns' names.
    """
    rows: list[tuple[Cell, ...]] = []
    eps_values: tuple[float, ...] = ()
    for accuracies in measured:
        for network, curve, clean in zip(
            accuracies.networks, accuracies.curves, accuracies.clean, strict=True
        ):
            eps_values = accuracies.eps_values
            attacked = (round(100 * point.accuracy, 1) for point in curve)
            rows.append(
                (accuracies.label, network.config.seed, round(100 * clean.accuracy, 2), *attacked)
            )
    return Table(
        title=title,
        columns=("network", "seed", "clean", *(f"{x_name} {eps:.3g}" for eps in eps_values)),
        rows=tuple(rows),
        note="Accuracies in percent; a row for each network.",
    )

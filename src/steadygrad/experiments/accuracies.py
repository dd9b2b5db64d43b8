"""Accuracies of networks that differ by their seed alone, gathered under one label."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steadygrad.attacks import Attack
from steadygrad.evaluation import AccuracyCurve, AccuracyPoint, wilson_interval
from steadygrad.experiments.chart import Series
from steadygrad.experiments.experiment import Cell, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.workbench import Workbench

__all__ = [
    "Accuracies",
    "accuracy_series",
    "accuracy_table",
    "difference_interval",
    "measured_accuracies",
    "pooled",
]


@dataclass(frozen=True)
class Accuracies:
    """What was measured of one label: a curve and a clean accuracy for each network (seed)."""

    label: str
    networks: tuple[Network, ...]
    curves: tuple[AccuracyCurve, ...]
    clean: tuple[AccuracyPoint, ...]

    def at(self, eps: float) -> AccuracyPoint:
        """Return the accuracy at a radius of the curve, over the images of all seeds together."""
        return pooled(
            [next(p for p in curve.points if abs(p.eps - eps) < 1e-9) for curve in self.curves]
        )

    @property
    def clean_accuracy(self) -> AccuracyPoint:
        """The accuracy without attack, over the images of all seeds together."""
        return pooled(self.clean)


def pooled(points: Sequence[AccuracyPoint]) -> AccuracyPoint:
    """Return points of one radius as one, images counted together."""
    return AccuracyPoint(
        eps=points[0].eps, correct=sum(p.correct for p in points), n=sum(p.n for p in points)
    )


def difference_interval(first: AccuracyPoint, second: AccuracyPoint) -> tuple[float, float]:
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
    """Attack every trained network at every radius, and count its clean accuracy; by label."""
    by_label: dict[str, list[Network]] = {}
    for network in bench.trained(networks):
        by_label.setdefault(network.label, []).append(network)
    return {
        label: Accuracies(
            label,
            tuple(group),
            tuple(bench.curve(n, attack, eps_values, bench.scale.attacked) for n in group),
            tuple(bench.clean_accuracy(n).points[0] for n in group),
        )
        for label, group in by_label.items()
    }


def accuracy_series(accuracies: Accuracies) -> Series:
    """Return the mean over the seeds, with the 95 % interval of all their images together."""
    eps_values = accuracies.curves[0].eps_values
    points = [accuracies.at(eps) for eps in eps_values]
    bounds = [wilson_interval(point.correct, point.n) for point in points]
    return Series(
        label=accuracies.label,
        x=eps_values,
        y=tuple(100 * point.accuracy for point in points),
        low=tuple(100 * low for low, _ in bounds),
        high=tuple(100 * high for _, high in bounds),
    )


def accuracy_table(title: str, measured: Mapping[str, Accuracies]) -> Table:
    """Return a row for each network: its clean accuracy and that at every radius, in percent."""
    rows: list[tuple[Cell, ...]] = []
    eps_values: tuple[float, ...] = ()
    for label, accuracies in measured.items():
        for network, curve, clean in zip(
            accuracies.networks, accuracies.curves, accuracies.clean, strict=True
        ):
            eps_values = curve.eps_values
            attacked = (round(100 * point.accuracy, 1) for point in curve.points)
            rows.append((label, network.config.seed, round(100 * clean.accuracy, 2), *attacked))
    return Table(
        title=title,
        columns=("network", "seed", "clean", *(f"eps {eps:.3g}" for eps in eps_values)),
        rows=tuple(rows),
        note="Accuracies in percent; a row for each network.",
    )

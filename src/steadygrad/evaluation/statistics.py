"""Intervals of accuracies and means, and the paired comparison of two models."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError, ShapeError

__all__ = [
    "PairedComparison",
    "bounded_mean_interval",
    "mean_interval",
    "paired_comparison",
    "wilson_interval",
]


def wilson_interval(correct: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval ``(lower, upper)`` for a proportion, within [0, 1].

    With p = correct / n and z the normal quantile of (1 + confidence) / 2, it is
    ``(p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.
    It covers sampling error alone: other examples of the same kind, same model, same attack.
    Without examples it is (0, 1).

    Raises: HyperparameterError, unless ``0 <= correct <= n`` and ``0 < confidence < 1``.
    Source: Wilson, JASA 22 (1927), 209-212.
    """
    if not 0 <= correct <= n:
        raise HyperparameterError(f"expected 0 <= correct <= n, got correct={correct}, n={n}")
    if not 0 < confidence < 1:
        raise HyperparameterError(f"expected confidence in (0, 1), got {confidence}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = correct / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # At the ends the bound is 0 or 1 exactly, whatever rounding says.
    lower = 0.0 if correct == 0 else max(0.0, centre - half)
    upper = 1.0 if correct == n else min(1.0, centre + half)
    return lower, upper


def mean_interval(values: Tensor, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return ``mean ± z s / sqrt(n)`` with the sample's standard deviation ``s``.

    values: (n,), one for each example. Sampling error alone: other examples of the same kind. From
    some 30 examples on; fewer make it too narrow, and a single one has none (None).
    Raises: HyperparameterError, unless ``0 < confidence < 1``; ShapeError for other shapes.
    """
    z, values = _quantile(confidence), _vector(values)
    if len(values) < 2:
        return None
    mean, half = values.mean().item(), z * values.std().item() / math.sqrt(len(values))
    return mean - half, mean + half


def bounded_mean_interval(values: Tensor, confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval for the mean of values in [0, 1], within [0, 1], around the sample's mean.

    values: (n,), one for each example. With z the normal quantile, ``z^2 / 2`` made-up examples
    of value 0 and as many of value 1 join the sample, then ``mean ± z s / sqrt(n + z^2)`` is taken:
    for values that are 0 or 1, Agresti and Coull's approximation of Wilson's interval. So it stays
    honest where every example fares alike, and the plain interval would have no width. Without
    examples it is (0, 1).

    Raises: HyperparameterError, unless ``0 < confidence < 1`` and all values are in [0, 1];
        ShapeError for other shapes.
    Source: Agresti & Coull, The American Statistician 52 (1998), 119-126, for proportions.
    """
    z, values = _quantile(confidence), _vector(values)
    if not ((values >= 0) & (values <= 1)).all():
        raise HyperparameterError("expected values in [0, 1] for an interval of their mean")
    if len(values) == 0:
        return 0.0, 1.0
    n = len(values) + z * z
    centre = (values.sum().item() + z * z / 2) / n
    added = z * z / 2 * (centre**2 + (1 - centre) ** 2)
    variance = (torch.sum((values - centre) ** 2).item() + added) / n
    half = z * math.sqrt(variance / n)
    mean = values.mean().item()
    return max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))


def _vector(values: Tensor) -> Tensor:
    if values.ndim != 1:
        raise ShapeError(f"expected one value for each example, got shape {tuple(values.shape)}")
    return values.double()


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise HyperparameterError(f"expected confidence in (0, 1), got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


@dataclass(frozen=True)
class PairedComparison:
    """How many examples both, only the first, only the second, or neither classifies correctly.

    Raises: HyperparameterError, if a count is negative or all are 0.

    The examples on which the two disagree, the discordant ones, decide; those on which they agree
    say nothing about which is better. That the same examples are shared is what makes this more
    telling than two intervals side by side.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    def __post_init__(self) -> None:
        counts = (self.both, self.only_first, self.only_second, self.neither)
        if min(counts) < 0 or sum(counts) == 0:
            raise HyperparameterError(
                f"expected counts of at least 0, of one example or more, got {counts}"
            )

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.both + self.discordant + self.neither

    @property
    def discordant(self) -> int:
        """Number of examples that exactly one of the two classifies correctly."""
        return self.only_first + self.only_second

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, in [-1, 1]."""
        return (self.only_first - self.only_second) / self.n

    @property
    def statistic(self) -> int:
        """The smaller of the two discordant counts: the statistic of the exact test."""
        return min(self.only_first, self.only_second)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test, in [0, 1].

        If both were equally good, each of the ``d`` discordant examples would fall to either with
        probability one half: ``min(1, 2 sum_{k <= statistic} C(d, k) / 2^d)``. Without discordant
        examples it is 1. Sums are of whole numbers; nothing is rounded before the division.
        Source: McNemar, Psychometrika 12 (1947), 153-157, with the binomial in place of chi^2.
        """
        ways, tail = 1, 0
        for k in range(self.statistic + 1):
            tail += ways
            ways = ways * (self.discordant - k) // (k + 1)
        return min(1.0, 2 * tail / (1 << self.discordant))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Newcombe's score interval of the difference, within [-1, 1].

        With Wilson's limits ``l_i, u_i`` of the accuracies ``p_i`` and their correlation phi,
        ``D - sqrt((p_1 - l_1)^2 - 2 phi (p_1 - l_1)(u_2 - p_2) + (u_2 - p_2)^2)`` and
        ``D + sqrt((u_1 - p_1)^2 - 2 phi (u_1 - p_1)(p_2 - l_2) + (p_2 - l_2)^2)``.
        It holds for few examples and for accuracies near 0 and 1, where the normal one fails, and
        has a width even where no example is discordant.

        Raises: HyperparameterError, unless ``0 < confidence < 1``.
        Source: Newcombe, Statistics in Medicine 17 (1998), 2635-2650, method 10.
        """
        first, second = self.both + self.only_first, self.both + self.only_second
        p, q = first / self.n, second / self.n
        p_low, p_high = wilson_interval(first, self.n, confidence)
        q_low, q_high = wilson_interval(second, self.n, confidence)
        phi = self._correlation()
        low = self.difference - _joint(p - p_low, q_high - q, phi)
        high = self.difference + _joint(p_high - p, q - q_low, phi)
        return max(-1.0, low), min(1.0, high)

    @property
    def ci95(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        return self.interval()

    def to_json(self) -> dict[str, Any]:
        """Return counts, accuracies, their difference with its interval, and the p-value."""
        return {
            "n": self.n,
            "both": self.both,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "neither": self.neither,
            "difference": self.difference,
            "ci95": list(self.ci95),
            "p_value": self.p_value,
        }

    def _correlation(self) -> float:
        """Return phi, drawn towards 0 where it is positive, as Newcombe does."""
        product = self.both * self.neither - self.only_first * self.only_second
        first, second = self.both + self.only_first, self.both + self.only_second
        scale = first * (self.n - first) * second * (self.n - second)
        if scale == 0:
            return 0.0
        if product > 0:
            return max(product - self.n / 2, 0.0) / math.sqrt(scale)
        return product / math.sqrt(scale)


def paired_comparison(first: Tensor, second: Tensor) -> PairedComparison:
    """Count on which examples two models are right.

    first, second: bool (n,), whether each example, in the same order, is classified rightly: clean,
        or under an attack on each model.
    Raises: ShapeError, unless both are bool and of one and the same length of at least 1.
    """
    for right in (first, second):
        if right.dtype != torch.bool or right.ndim != 1 or len(right) == 0:
            raise ShapeError(
                "expected one bool for each of at least 1 example, got "
                f"{right.dtype} of shape {tuple(right.shape)}"
            )
    if len(first) != len(second):
        raise ShapeError(f"expected the same examples twice, got {len(first)} and {len(second)}")
    second = second.to(first.device)
    return PairedComparison(
        both=int((first & second).sum()),
        only_first=int((first & ~second).sum()),
        only_second=int((~first & second).sum()),
        neither=int((~first & ~second).sum()),
    )


def _joint(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))

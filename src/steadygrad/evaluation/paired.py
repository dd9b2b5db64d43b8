"""Two models on the same examples: McNemar's exact test, and how far their accuracies differ."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.evaluation.intervals import wilson_interval

__all__ = ["PairedComparison", "paired_comparison"]


@dataclass(frozen=True)
class PairedComparison:
    """How many examples both, only the first, only the second, or neither has right.

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
        """Number of examples that exactly one of the two has right."""
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

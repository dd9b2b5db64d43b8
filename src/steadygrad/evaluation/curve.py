"""Accuracy against the strength of an attack: radii, the curve, and the worst of several curves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from steadygrad.attacks.ball import AnyNorm
from steadygrad.checks import check_eps
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.statistics import bounded_mean_interval, wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )

__all__ = [
    "AccuracyCurve",
    "AccuracyPoint",
    "ascending_eps",
    "parse_eps_grid",
    "worst_case",
]

MOST_POINTS = 1000
"""More radii than anyone means; a mistyped step would otherwise run for days."""


def parse_eps_grid(text: str, norm: AnyNorm = "linf") -> tuple[float, ...]:
    """Read radii: a list ``0,0.1,8/255``, a range ``start:stop:step``, or a mixture.

    A range includes both ends, and its step must lead from one to the other exactly: numbers are
    read as fractions, so ``0:0.3:0.1`` ends at 0.3 and not a rounding beside it.
    norm: what the radii are measured in; they lie in [0, 1], or are at least 0 in "l2" and "l1".
    Returns the radii in ascending order.

    Raises: HyperparameterError, naming the part that cannot be read.
    """
    values = [float(value) for part in text.split(",") for value in _part(part.strip(), text)]
    return ascending_eps(values, norm)


def ascending_eps(values: Iterable[float], norm: AnyNorm = "linf") -> tuple[float, ...]:
    """Return the radii sorted; refuse none at all, duplicates, and any that the norm has not.

    Raises: HyperparameterError.
    """
    ordered = tuple(sorted(float(value) for value in values))
    if not ordered:
        raise HyperparameterError("expected at least one eps, got none")
    for value in ordered:
        check_eps(value, norm, norms=get_args(AnyNorm))
    for value, following in pairwise(ordered):
        if value == following:
            raise HyperparameterError(f"expected every eps once, got {value:g} twice")
    return ordered


def _part(part: str, text: str) -> list[Fraction]:
    numbers = [_number(number.strip(), text) for number in part.split(":")]
    if len(numbers) == 1:
        return numbers
    if len(numbers) != 3:
        raise HyperparameterError(
            f"expected a range of eps as start:stop:step, for example 0:0.3:0.02, got {part!r}"
        )
    start, stop, step = numbers
    if step <= 0 or stop < start:
        raise HyperparameterError(f"expected start <= stop and step > 0 in {part!r}")
    count = (stop - start) / step
    if count.denominator != 1:
        raise HyperparameterError(
            f"expected a step that leads from {float(start):g} to {float(stop):g} exactly, "
            f"got {float(step):g} in {part!r}"
        )
    if count >= MOST_POINTS:
        raise HyperparameterError(
            f"expected at most {MOST_POINTS} values of eps, got {int(count) + 1} in {part!r}"
        )
    return [start + index * step for index in range(int(count) + 1)]


def _number(number: str, text: str) -> Fraction:
    try:
        exact = Fraction(number)
        float(exact)  # what no float holds is no radius either
    except (ValueError, ZeroDivisionError, OverflowError):
        raise HyperparameterError(
            f"expected eps as numbers like 0.1 or 8/255, or start:stop:step, got {number!r} "
            f"in {text!r}"
        ) from None
    return exact


@dataclass(frozen=True)
class AccuracyPoint:
    """How many of ``n`` examples survive an attack of radius ``eps``."""

    eps: float
    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """The surviving fraction, in [0, 1]."""
        return self.correct / self.n

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy: sampling error alone."""
        return wilson_interval(self.correct, self.n)

    def to_json(self) -> dict[str, Any]:
        """Return accuracy, counts and interval; the radius is the caller's to name."""
        return {
            "accuracy": self.accuracy,
            "correct": self.correct,
            "n": self.n,
            "ci95": list(self.ci95),
        }


@dataclass(frozen=True, eq=False)
class AccuracyCurve:
    """One attack at several radii on the same ``n`` examples.

    attack: name and settings without eps, as JSON can hold them.
    points: one per radius, ascending.
    broken_at: float64 (n,), the smallest radius of the grid that broke each example, or with
        "distance" that of its nearest adversarial image; 0 for one that is wrong without attack,
        infinity for one that never broke.
    search: how the curve was found. "sweep", "continued" and "bisection": an example broken at one
        radius counts as broken at every larger one, and the curve never rises. "separate": every
        radius was attacked on its own. "distance": one run that looked for the nearest adversarial
        image.
    """

    attack: dict[str, Any]
    points: tuple[AccuracyPoint, ...]
    broken_at: Tensor = field(repr=False)
    seed: int
    seconds: float
    search: str = "sweep"

    @property
    def reuse_broken(self) -> bool:
        """Whether an example broken at one radius counts as broken at every larger one."""
        return self.search != "separate"

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.broken_at)

    def standing(self, eps: float) -> Tensor | None:
        """Return which examples withstand a radius of the grid, bool (n,) on the CPU.

        None after a "separate" search, which does not tell.
        """
        return self.broken_at.cpu() > eps if self.reuse_broken else None

    @property
    def eps_values(self) -> tuple[float, ...]:
        """The radii, ascending."""
        return tuple(point.eps for point in self.points)

    @property
    def mean_accuracy(self) -> float:
        """Mean of the points' accuracies: the area under the curve of an evenly spaced grid."""
        return sum(point.accuracy for point in self.points) / len(self.points)

    @property
    def mean_ci95(self) -> tuple[float, float]:
        """95 % interval of ``mean_accuracy``: sampling error alone.

        The sample is one value for each example, the share of the grid at which it survives: its
        fates at two radii are not independent. A "separate" search does not tell that share; the
        interval is then the widest that any shares of this mean could have, Wilson's.
        """
        if not self.reuse_broken:
            return wilson_interval(round(self.mean_accuracy * self.n), self.n)
        eps = torch.tensor(self.eps_values, dtype=torch.float64, device="cpu")
        survived = self.broken_at.cpu().unsqueeze(1) > eps
        return bounded_mean_interval(survived.double().mean(dim=1))

    def show(self) -> None:
        """Print the accuracy at each radius."""
        from steadygrad.reports.curve import show_curve

        show_curve(self)

    def plot(self) -> "Figure":
        """Return accuracy against eps, a matplotlib figure."""
        from steadygrad.reports.curve import curve_figure

        return curve_figure(self)

    def _repr_html_(self) -> str:
        from steadygrad.reports.curve import curve_html

        return curve_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return attack, results ``[{"eps", "accuracy", "n", "ci95"}, ...]`` and their mean."""
        results = [
            {
                "eps": point.eps,
                "accuracy": point.accuracy,
                "n": point.n,
                "ci95": list(point.ci95),
            }
            for point in self.points
        ]
        return {
            "attack": dict(self.attack),
            "results": results,
            "mean_accuracy": self.mean_accuracy,
            "mean_accuracy_ci95": list(self.mean_ci95),
        }


def worst_case(curves: Sequence[AccuracyCurve]) -> AccuracyCurve:
    """Return the curve of an attacker who tries every attack on every example.

    An example is broken at the smallest radius at which any of the curves breaks it; this lies
    at or below the lowest curve. All must cover the same examples in the same order.

    Raises: HyperparameterError, if there is no curve, or numbers of examples or radii differ.
    """
    if not curves:
        raise HyperparameterError("expected at least one curve, got none")
    first = curves[0]
    for curve in curves[1:]:
        if curve.n != first.n or curve.eps_values != first.eps_values:
            raise HyperparameterError(
                f"expected curves over the same examples and radii, got n={first.n} at "
                f"{first.eps_values} and n={curve.n} at {curve.eps_values}"
            )
    broken_at = torch.stack([curve.broken_at for curve in curves]).amin(dim=0)
    return AccuracyCurve(
        attack={"name": "worst-case", "attacks": [dict(curve.attack) for curve in curves]},
        points=surviving(broken_at, first.eps_values),
        broken_at=broken_at,
        seed=first.seed,
        seconds=sum(curve.seconds for curve in curves),
    )


def surviving(broken_at: Tensor, eps_values: Sequence[float]) -> tuple[AccuracyPoint, ...]:
    """Count, at each radius, the examples that only a larger one broke, or none."""
    n = len(broken_at)
    return tuple(
        AccuracyPoint(eps=eps, correct=int((broken_at > eps).sum()), n=n) for eps in eps_values
    )

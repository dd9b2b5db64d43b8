"""The radii of a curve, as people write them: ``0:0.3:0.02``, ``0,0.1,8/255``."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.errors import HyperparameterError

__all__ = ["ascending_eps", "parse_eps_grid"]

MOST_POINTS = 1000
"""More radii than anyone means; a mistyped step would otherwise run for days."""


def parse_eps_grid(text: str, norm: Norm = "linf") -> tuple[float, ...]:
    """Read radii: a list ``0,0.1,8/255``, a range ``start:stop:step``, or a mixture.

    A range includes both ends, and its step must lead from one to the other exactly: numbers are
    read as fractions, so ``0:0.3:0.1`` ends at 0.3 and not a rounding beside it.
    norm: what the radii are measured in; they lie in [0, 1], or are at least 0 in "l2".
    Returns the radii in ascending order.

    Raises: HyperparameterError, naming the part that cannot be read.
    """
    values = [float(value) for part in text.split(",") for value in _part(part.strip(), text)]
    return ascending_eps(values, norm)


def ascending_eps(values: Iterable[float], norm: Norm = "linf") -> tuple[float, ...]:
    """Return the radii sorted; refuse none at all, duplicates, and any that the norm has not.

    Raises: HyperparameterError.
    """
    ordered = tuple(sorted(float(value) for value in values))
    if not ordered:
        raise HyperparameterError("expected at least one eps, got none")
    for value in ordered:
        check_eps(value, norm)
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
        return Fraction(number)
    except (ValueError, ZeroDivisionError):
        raise HyperparameterError(
            f"expected eps as numbers like 0.1 or 8/255, or start:stop:step, got {number!r} "
            f"in {text!r}"
        ) from None

"""Our number beside the paper's: the difference, the interval and what they allow to say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from steadygrad.errors import HyperparameterError
from steadygrad.experiments.published import published_number

__all__ = ["Compared", "ComparisonVerdict", "verdict_counts"]

ComparisonVerdict: TypeAlias = Literal["reproduced", "differs", "not comparable"]
"""How our number relates to a printed one; see docs/experiments.md."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One printed number and ours.

    quantity: what it is, for people; paper, path: where it is printed, see ``published_number``.
    ours: in the paper's units, None if it was not measured; interval: 95 %, of ours, for sampling
        of test images alone, None for a count.
    tolerance: how far ours may lie from the printed number for another reason, which ``note``
        states: rounding in print, the spread between seeds. In the paper's units, at least 0.
    is_lower_bound: the paper says "at least" this.
    obstacle: why the two cannot be compared ("1 of 30 epochs"), None if they can.
    """

    quantity: str
    paper: str
    path: str
    ours: float | None
    interval: tuple[float, float] | None = None
    tolerance: float = 0.0
    obstacle: str | None = None
    note: str = ""
    is_lower_bound: bool = False

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise HyperparameterError(f"expected tolerance >= 0, got {self.tolerance}")
        if self.ours is None and self.obstacle is None:
            raise HyperparameterError(f"expected a reason why {self.quantity} was not measured")
        _ = self.printed  # unknown paths are refused here

    @property
    def printed(self) -> float:
        """The paper's number."""
        return published_number(self.paper, self.path)

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None else self.ours - self.printed

    @property
    def verdict(self) -> ComparisonVerdict:
        """Reproduced: the printed number lies in the interval, widened by the tolerance.

        A lower bound is reproduced if the interval, so widened, reaches it from anywhere.
        """
        if self.obstacle is not None or self.ours is None:
            return "not comparable"
        low, high = self.interval or (self.ours, self.ours)
        is_below = self.is_lower_bound or low - self.tolerance <= self.printed
        is_near = is_below and self.printed <= high + self.tolerance
        return "reproduced" if is_near else "differs"


def verdict_counts(compared: Sequence[Compared]) -> dict[ComparisonVerdict, int]:
    """Return how many comparisons ended in each verdict."""
    counts: dict[ComparisonVerdict, int] = {"reproduced": 0, "differs": 0, "not comparable": 0}
    for entry in compared:
        counts[entry.verdict] += 1
    return counts

"""Minutes that something may take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite

from steadygrad.errors import HyperparameterError

__all__ = ["TimeBudget"]


@dataclass(eq=False)
class TimeBudget:
    """A clock that starts when it is made.

    minutes: above 0; None sets no limit.
    clock: seconds, for tests.
    Raises: HyperparameterError.
    """

    minutes: float | None = None
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        if self.minutes is not None and not (self.minutes > 0 and isfinite(self.minutes)):
            raise HyperparameterError(f"expected minutes > 0, got {self.minutes:g}")
        self.began = self.clock()

    def is_spent(self, share: float = 1.0) -> bool:
        """Whether this share of the time is over."""
        limit = inf if self.minutes is None else 60 * self.minutes * share
        return self.clock() - self.began >= limit

    @property
    def minutes_left(self) -> float | None:
        """What is left, at least a moment: for another budget; None without a limit."""
        if self.minutes is None:
            return None
        return max(self.minutes - (self.clock() - self.began) / 60, 1e-9)

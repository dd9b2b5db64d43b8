"""Schedules as parts: by which factor a rate or a penalty is multiplied as training goes on."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Protocol, TypeVar

from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Linear",
    "MultiStep",
    "Ramp",
    "Schedule",
    "factor_of",
    "schedule",
]

C = TypeVar("C", bound=type[Any])


class Schedule(Protocol):
    """A factor as a function of the position alone, so that resuming needs no state."""

    def factor(self, done: float, epochs: int) -> float:
        """Return the factor of the next step, finite and at least 0.

        Args:
            done: epochs done so far, with the fraction of the one in progress.
            epochs: of the whole run.
        """
        ...


SCHEDULES: Family[Schedule] = Family(
    "schedule", "steadygrad.training", group="steadygrad.schedules"
)
"""Every registered schedule, for learning rates and for the ramp of a penalty."""


def schedule(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``Schedule`` under ``name``."""
    return SCHEDULES.register(name)


def factor_of(schedule: Schedule, done: float, epochs: int) -> float:
    """Return the factor that a schedule gives, as ``Schedule.factor``.

    Raises:
        HyperparameterError: it is no number, not finite or below 0.
    """
    given: object = schedule.factor(done, epochs)
    if isinstance(given, Real) and 0 <= float(given) < math.inf:
        return float(given)
    raise HyperparameterError(
        f"expected the schedule {SCHEDULES.text(schedule)} to give a factor >= 0 after {done:g} "
        f"epochs, got {given!r}"
    )


@schedule("constant")
@dataclass(frozen=True, kw_only=True)
class Constant:
    """A factor of 1 from the first step to the last."""

    def factor(self, done: float, epochs: int) -> float:  # noqa: ARG002 - it is always the same
        """Return 1."""
        return 1.0


@schedule("multi-step")
@dataclass(frozen=True, kw_only=True)
class MultiStep:
    """``drop^k``, with k the epochs of ``at`` that are done.

    at: rising epochs, from 1, after which the factor drops: ``multi-step:10+20``.
    drop: in (0, 1]; 0.2 as in Yeats et al. (2021).
    """

    positional: ClassVar[str] = "at"

    at: tuple[int, ...]
    drop: float = 0.2

    def __post_init__(self) -> None:
        if not self.at or any(a >= b for a, b in zip((0, *self.at), self.at, strict=False)):
            raise HyperparameterError(f"expected at as rising epochs from 1, got {self.at}")
        if not 0 < self.drop <= 1:
            raise HyperparameterError(f"expected drop in (0, 1], got {self.drop}")

    def factor(self, done: float, epochs: int) -> float:  # noqa: ARG002 - only the drops decide
        """Return the factor of the epoch in progress."""
        return self.drop ** sum(math.floor(done) >= epoch for epoch in self.at)


@schedule("linear")
@dataclass(frozen=True, kw_only=True)
class Linear:
    """Rise over ``warmup`` epochs, stay at 1, and fall in a line to ``end`` from ``fall_from`` on.

    warmup: epochs at the start, at least 0. fall_from: fraction of the run at which the fall
        begins, in [0, 1]. end: factor after the last step, in [0, 1].
    """

    warmup: float = 0.0
    fall_from: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup_and_end(self.warmup, self.end)
        if not 0 <= self.fall_from < 1:
            raise HyperparameterError(f"expected fall_from in [0, 1), got {self.fall_from}")

    def factor(self, done: float, epochs: int) -> float:
        """Return the factor at this position."""
        if done < self.warmup:
            return _warmed(done, self.warmup)
        start = max(self.fall_from * epochs, self.warmup)
        fallen = min(max(0.0, done - start) / max(epochs - start, 1e-12), 1.0)
        return 1.0 - (1.0 - self.end) * fallen


@schedule("cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Rise over ``warmup`` epochs, then fall along half a cosine wave to ``end``.

    warmup: epochs at the start, at least 0. end: factor after the last step, in [0, 1].
    Source: Loshchilov & Hutter, ICLR 2017 (arXiv:1608.03983), Eq. (5), without restarts.
    """

    warmup: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup_and_end(self.warmup, self.end)

    def factor(self, done: float, epochs: int) -> float:
        """Return the factor at this position."""
        if done < self.warmup:
            return _warmed(done, self.warmup)
        along = min((done - self.warmup) / max(epochs - self.warmup, 1e-12), 1.0)
        return self.end + (1.0 - self.end) * (1.0 + math.cos(math.pi * along)) / 2.0


@schedule("ramp")
@dataclass(frozen=True, kw_only=True)
class Ramp:
    """Rise in a line from 0 to 1 over so many ``epochs``, then stay: for a penalty.

    epochs: positive; may be a fraction of one. after: epochs at 0 before it, at least 0: plain
        training, such as a network needs whose activations were just replaced.
    """

    positional: ClassVar[str] = "epochs"

    epochs: float
    after: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.epochs < math.inf:
            raise HyperparameterError(f"expected epochs > 0 for a ramp, got {self.epochs}")
        if not 0 <= self.after < math.inf:
            raise HyperparameterError(f"expected after >= 0 epochs, got {self.after}")

    def factor(self, done: float, epochs: int) -> float:  # noqa: ARG002 - the run's length plays no part
        """Return the factor at this position."""
        return min(max(done - self.after, 0.0) / self.epochs, 1.0)


def _warmed(done: float, warmup: float) -> float:
    # A rate of 0 would waste the first step: the warm-up starts at a hundredth.
    return max(done / warmup, 0.01)


def _check_warmup_and_end(warmup: float, end: float) -> None:
    if not 0 <= warmup < math.inf:
        raise HyperparameterError(f"expected warmup >= 0 epochs, got {warmup}")
    if not 0 <= end <= 1:
        raise HyperparameterError(f"expected end in [0, 1], got {end}")

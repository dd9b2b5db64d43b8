"""A limit of minutes: what share of it is over, and what is left."""

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.time_budget import TimeBudget
from ticking_clock import TickingClock


def test_the_share_of_the_time() -> None:
    clock = TickingClock()
    budget = TimeBudget(1 / 15, clock)  # four seconds
    assert [budget.is_spent(0.5) for _ in range(3)] == [False, True, True]
    assert TimeBudget(None, TickingClock()).is_spent() is False


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_is_no_limit(minutes: float) -> None:
    with pytest.raises(HyperparameterError, match="expected minutes > 0"):
        TimeBudget(minutes)


def test_what_is_left() -> None:
    budget = TimeBudget(1 / 15, TickingClock())  # four seconds
    left = [budget.minutes_left for _ in range(4)]
    assert left == [pytest.approx(k / 60) for k in (3, 2, 1)] + [1e-9]
    assert TimeBudget(left[-1]).is_spent(0.0)
    assert TimeBudget().minutes_left is None

"""How far long work is, in plain lines."""

import pytest

from steadygrad.progress_lines import ProgressLines
from ticking_clock import TickingClock


def test_quick_work_is_done_in_silence() -> None:
    said: list[str] = []
    lines = ProgressLines("quick", said.append, clock=TickingClock())
    for done in range(1, 9):
        lines(done, 9)
    assert said == []


def test_long_work_speaks_more_and_more_seldom() -> None:
    said: dict[int, str] = {}
    lines = ProgressLines("long", lambda line: said.update({done: line}), clock=TickingClock())
    for done in range(1, 1001):
        lines(done, 1000)
    assert list(said)[:5] == [10, 30, 70, 130, 190]
    assert said[10] == "long: 1 %, about 16 min left"
    assert list(said.values())[-1] == "long: 97 %, about 30 s left"


def test_what_was_done_before_does_not_count_as_quick() -> None:
    said: list[str] = []
    lines = ProgressLines("again", said.append, done=500, clock=TickingClock())
    for done in range(501, 520):
        lines(done, 1000)
    assert said == ["again: 51 %, about 8 min 10 s left"]


@pytest.mark.parametrize(("total", "left"), [(30, "20 s"), (1000, "16 min"), (9000, "2.5 h")])
def test_the_time_left(total: int, left: str) -> None:
    said: list[str] = []
    lines = ProgressLines("x", said.append, clock=TickingClock())
    for done in range(1, 11):
        lines(done, total)
    assert said[0].endswith(f"about {left} left")


def test_whoever_was_told_otherwise_is_not_told_again() -> None:
    said: list[str] = []
    lines = ProgressLines("epochs", said.append, clock=TickingClock())
    for done in range(1, 100):
        lines(done, 100)
        lines.heard()
    assert said == []

"""Laws of steadygrad.training.schedules: closed forms at every position."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from part_examples import drawn_parts, examples
from steadygrad.training import SCHEDULES, Constant, Cosine, Linear, MultiStep, Ramp, schedules

EPOCHS = st.integers(1, 200)
FRACTIONS = st.floats(0, 1)


def test_multi_step_drops_after_each_named_epoch() -> None:
    part = MultiStep(at=(2, 3), drop=0.5)
    factors = [part.factor(done, 5) for done in (0, 1, 1.99, 2, 2.5, 3, 4.9)]
    assert factors == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_linear_rises_stays_and_falls() -> None:
    part = Linear(warmup=2.0, fall_from=0.5, end=0.2)
    points = {0.0: 0.01, 0.5: 0.25, 1.0: 0.5, 2.0: 1.0, 4.9: 1.0, 5.0: 1.0, 7.5: 0.6, 10.0: 0.2}
    for done, factor in points.items():
        assert part.factor(done, 10) == pytest.approx(factor), done
    assert Linear().factor(2.5, 10) == pytest.approx(0.75)
    assert Linear(fall_from=0.67).factor(6.7, 10) == pytest.approx(1.0)


def test_a_warm_up_longer_than_the_flat_stretch_moves_the_fall() -> None:
    part = Linear(warmup=6.0, fall_from=0.2)
    assert part.factor(6.0, 10) == pytest.approx(1.0)
    assert part.factor(8.0, 10) == pytest.approx(0.5)


def test_cosine_is_half_a_wave_after_the_warm_up() -> None:
    part = Cosine(warmup=2.0, end=0.1)
    for done in (2.0, 3.0, 4.5, 6.0, 9.9, 10.0):
        wave = (1 + math.cos(math.pi * (done - 2) / 8)) / 2
        assert part.factor(done, 10) == pytest.approx(0.1 + 0.9 * wave)
    assert part.factor(1.0, 10) == pytest.approx(0.5)
    assert part.factor(0.0, 10) == 0.01


def test_ramp_rises_over_its_epochs_alone() -> None:
    part = Ramp(epochs=4.0)
    assert [part.factor(done, 100) for done in (0, 1, 2, 4, 50)] == [0, 0.25, 0.5, 1, 1]


@given(done=st.floats(0, 300), epochs=EPOCHS)
def test_constant_is_one(done: float, epochs: int) -> None:
    assert Constant().factor(done, epochs) == 1


@given(
    warmup=st.floats(0, 20), fall_from=st.floats(0, 0.99), end=FRACTIONS, epochs=EPOCHS,
    position=FRACTIONS,
)  # fmt: skip
def test_a_run_begins_small_and_ends_at_its_end(
    warmup: float, fall_from: float, end: float, epochs: int, position: float
) -> None:
    for part in (
        Linear(warmup=warmup, fall_from=fall_from, end=end),
        Cosine(warmup=warmup, end=end),
    ):
        if warmup < epochs:
            assert part.factor(float(epochs), epochs) == pytest.approx(end, abs=1e-9)
        if warmup:
            assert part.factor(0.0, epochs) == 0.01
        # Falling from the warm-up's end on, rising before.
        later = min(epochs, position * epochs + epochs / 50)
        here, there = part.factor(position * epochs, epochs), part.factor(later, epochs)
        if later <= warmup:
            assert there >= here - 1e-12
        elif position * epochs >= warmup:
            assert there <= here + 1e-12


@given(part=drawn_parts(SCHEDULES), epochs=EPOCHS, position=FRACTIONS)
def test_every_schedule_stays_between_0_and_1_and_beyond_its_end(
    part: schedules.Schedule, epochs: int, position: float
) -> None:
    for done in (position * epochs, float(epochs), 1.5 * epochs):
        assert 0 <= part.factor(done, epochs) <= 1 + 1e-12


@pytest.mark.parametrize("part", examples(SCHEDULES), ids=SCHEDULES.text)
def test_every_schedule_is_a_function_of_its_position(part: schedules.Schedule) -> None:
    assert part.factor(1.25, 7) == part.factor(1.25, 7)

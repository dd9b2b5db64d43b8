"""Wilson's interval against figures worked out elsewhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import wilson_interval


@pytest.mark.parametrize(
    ("correct", "n", "lower", "upper"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), Table I, method 3 (score, no correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(correct: int, n: int, lower: float, upper: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((lower, upper), abs=5e-5)


def test_one_of_two_by_hand() -> None:
    # p = 1/2: the centre is 1/2, half the width z sqrt(1/8 + z^2/16) / (1 + z^2/2).
    z = 1.959963984540054
    half = z * math.sqrt(1 / 8 + z * z / 16) / (1 + z * z / 2)
    assert wilson_interval(1, 2) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-12)


def test_both_ends_are_the_roots_of_the_score_equation() -> None:
    # |p_hat - p| = z sqrt(p (1 - p) / n) defines the interval.
    for correct, n in [(3, 7), (990, 1000), (1, 1000)]:
        for p in wilson_interval(correct, n):
            z = abs(correct / n - p) / math.sqrt(p * (1 - p) / n)
            assert z == pytest.approx(1.959963984540054, rel=1e-9)


def test_ends_are_exact_and_nothing_measured_says_nothing() -> None:
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_holds_the_fraction_and_mirrors(counts: tuple[int, int]) -> None:
    correct, n = counts
    lower, upper = wilson_interval(correct, n)
    assert 0 <= lower <= correct / n <= upper <= 1
    mirrored = wilson_interval(n - correct, n)
    assert mirrored == pytest.approx((1 - upper, 1 - lower), abs=1e-12)
    wider = wilson_interval(correct, n, confidence=0.99)
    assert wider[0] <= lower and upper <= wider[1]


@pytest.mark.parametrize(("correct", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts_are_refused(correct: int, n: int) -> None:
    with pytest.raises(HyperparameterError, match="0 <= correct <= n"):
        wilson_interval(correct, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(HyperparameterError, match=r"confidence in \(0, 1\)"):
        wilson_interval(1, 2, confidence)

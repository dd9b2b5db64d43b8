"""Laws of steadygrad.evaluation.statistics: closed forms, and how often the truth is inside."""

import math

import pytest
import torch

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.evaluation import wilson_interval
from steadygrad.evaluation.statistics import bounded_mean_interval, mean_interval

Z = 1.959963984540054  # the normal quantile of 0.975


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_mean_of_four_by_hand() -> None:
    # Mean 4, squared deviations 9 + 1 + 1 + 9 over 3.
    low, high = mean_interval(torch.tensor([1.0, 3.0, 5.0, 7.0])) or (0, 0)
    half = Z * math.sqrt(20 / 3) / 2
    assert (low, high) == pytest.approx((4 - half, 4 + half), abs=1e-12)


def test_one_example_has_no_interval() -> None:
    assert mean_interval(torch.tensor([1.0])) is None
    assert mean_interval(torch.tensor([])) is None


@pytest.mark.parametrize(("correct", "n"), [(0, 30), (3, 30), (50, 100), (997, 1000), (30, 30)])
def test_of_zeros_and_ones_it_is_wilsons_up_to_agresti_and_coulls_approximation(
    correct: int, n: int
) -> None:
    values = torch.zeros(n)
    values[:correct] = 1
    low, high = bounded_mean_interval(values)
    # Agresti & Coull: p ± z sqrt(p (1 - p) / m) with m = n + z^2 and p = (correct + z^2 / 2) / m.
    m = n + Z * Z
    p = (correct + Z * Z / 2) / m
    half = Z * math.sqrt(p * (1 - p) / m)
    assert low == pytest.approx(max(0.0, min(p - half, correct / n)), abs=1e-12)
    assert high == pytest.approx(min(1.0, max(p + half, correct / n)), abs=1e-12)
    wilson = wilson_interval(correct, n)
    assert low <= wilson[0] + 1e-12 and wilson[1] - 1e-12 <= high
    assert high - low < 1.3 * (wilson[1] - wilson[0])


def test_examples_that_all_fare_alike_still_leave_a_doubt() -> None:
    for value in (0.0, 0.25, 1.0):
        low, high = bounded_mean_interval(torch.full((50,), value))
        assert 0 <= low <= value <= high <= 1
        assert high - low > 0.02


def test_without_examples_everything_is_possible() -> None:
    assert bounded_mean_interval(torch.tensor([])) == (0.0, 1.0)


@pytest.mark.parametrize("n", [15, 200])
@pytest.mark.parametrize("chances", [(0.94, 0.02, 0.02, 0.02), (0.4, 0.1, 0.1, 0.4)], ids=str)
def test_the_truth_is_inside_nineteen_times_in_twenty(n: int, chances: tuple[float, ...]) -> None:
    shares = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0], dtype=torch.float64)
    weights = torch.tensor(chances, dtype=torch.float64)
    truth = (weights @ shares).item()
    draws = torch.multinomial(weights, 1000 * n, replacement=True, generator=seeded())
    inside = 0
    for sample in shares[draws].view(1000, n):
        low, high = bounded_mean_interval(sample)
        inside += low <= truth <= high
    assert inside >= 935  # 950 less two standard errors


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"confidence in \(0, 1\), got 1"):
        mean_interval(torch.ones(3), confidence=1)
    with pytest.raises(HyperparameterError, match=r"values in \[0, 1\]"):
        bounded_mean_interval(torch.tensor([0.5, 1.5]))


def test_values_of_another_shape_are_refused() -> None:
    for interval in (mean_interval, bounded_mean_interval):
        with pytest.raises(ShapeError, match=r"one value for each example, got shape \(3, 2\)"):
            interval(torch.full((3, 2), 0.5))

"""McNemar's exact test and Newcombe's interval, against enumeration, scipy and printed examples."""

import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.evaluation import PairedComparison, paired_comparison, wilson_interval

counts = st.integers(0, 60)


def test_counts_by_hand() -> None:
    first = torch.tensor([True, True, True, False, False, True])
    second = torch.tensor([True, False, False, True, False, True])
    found = paired_comparison(first, second)
    assert found == PairedComparison(both=2, only_first=2, only_second=1, neither=1)
    assert (found.n, found.discordant, found.statistic) == (6, 3, 1)
    assert found.difference == pytest.approx(1 / 6)
    # Of three fair coins: 0 or 1 heads has probability (1 + 3) / 8, twice that is 1.
    assert found.p_value == 1.0


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 8, 2 / 256), (7, 1, 2 * 9 / 256), (4, 4, 1.0)],
)
def test_p_values_by_hand(only_first: int, only_second: int, p_value: float) -> None:
    assert PairedComparison(10, only_first, only_second, 3).p_value == p_value


@pytest.mark.parametrize("discordant", [1, 4, 9])
def test_p_value_is_a_count_of_coin_tosses(discordant: int) -> None:
    heads = [sum(tosses) for tosses in itertools.product((0, 1), repeat=discordant)]
    for only_first in range(discordant + 1):
        far = abs(only_first - discordant / 2)
        as_far = sum(abs(count - discordant / 2) >= far for count in heads) / 2**discordant
        found = PairedComparison(0, only_first, discordant - only_first, 5).p_value
        assert found == pytest.approx(as_far, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(only_first=st.integers(0, 400), only_second=st.integers(0, 400))
def test_p_value_is_scipys(only_first: int, only_second: int) -> None:
    found = PairedComparison(1, only_first, only_second, 0).p_value
    if only_first + only_second == 0:
        assert found == 1.0
    else:
        expected = binomtest(only_first, only_first + only_second).pvalue
        assert found == pytest.approx(expected, rel=1e-9)


def test_thousands_of_discordant_examples_do_not_overflow() -> None:
    assert 0 <= PairedComparison(0, 9000, 1000, 0).p_value < 1e-300
    assert PairedComparison(0, 5000, 5000, 0).p_value == 1.0


@pytest.mark.parametrize(
    ("table", "interval"),
    [
        # Altman, Machin, Bryant & Gardner, Statistics with Confidence (2000), chapter 6.
        ((14, 5, 0, 22), (0.011, 0.226)),
        # Bentur et al. 2009, in Fagerland, Lydersen & Laake, Statistics in Medicine 33 (2014).
        ((1, 1, 7, 12), (-0.507, -0.026)),
    ],
)
def test_interval_is_that_of_printed_examples(
    table: tuple[int, int, int, int], interval: tuple[float, float]
) -> None:
    assert PairedComparison(*table).ci95 == pytest.approx(interval, abs=5e-4)


def test_without_a_common_example_the_intervals_add_as_if_independent() -> None:
    """Where the correlation is drawn to 0, the half widths add in squares."""
    found = PairedComparison(both=5, only_first=5, only_second=5, neither=5)
    low, high = wilson_interval(10, 20)
    half = math.hypot(0.5 - low, high - 0.5)
    assert found.ci95 == pytest.approx((-half, half))


@settings(max_examples=100, deadline=None)
@given(both=counts, only_first=counts, only_second=counts, neither=counts)
def test_swapping_the_models_mirrors_everything(
    both: int, only_first: int, only_second: int, neither: int
) -> None:
    if both + only_first + only_second + neither == 0:
        return
    one = PairedComparison(both, only_first, only_second, neither)
    other = PairedComparison(both, only_second, only_first, neither)
    low, high = one.ci95
    assert -1 <= low <= one.difference <= high <= 1
    assert low < high
    assert other.ci95 == pytest.approx((-high, -low))
    assert other.p_value == one.p_value
    # Counting errors in place of right answers mirrors it too.
    errors = PairedComparison(neither, only_second, only_first, both)
    assert errors.ci95 == pytest.approx((-high, -low))


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    chances = torch.tensor([0.7, 0.12, 0.05, 0.13])
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(chances.expand(2000, 4), 100, True, generator=generator)
    covered = 0
    for table in torch.nn.functional.one_hot(draws, 4).sum(dim=1).tolist():
        low, high = PairedComparison(*table).ci95
        covered += low <= 0.07 <= high
    # 95 % give or take five standard errors of 2,000 draws, and the method's own error.
    assert 0.925 < covered / 2000 < 0.985


def test_a_higher_confidence_is_wider() -> None:
    table = PairedComparison(50, 9, 4, 20)
    narrow, wide = table.interval(0.8), table.interval(0.99)
    assert wide[0] < table.ci95[0] < narrow[0] < narrow[1] < table.ci95[1] < wide[1]


def test_json_holds_the_counts_and_the_answer() -> None:
    found = json.loads(json.dumps(PairedComparison(14, 5, 0, 22).to_json()))
    assert [found[key] for key in ("n", "both", "only_first", "only_second", "neither")] == [
        *(41, 14, 5, 0, 22)
    ]
    assert found["p_value"] == 0.0625
    assert found["difference"] == pytest.approx(5 / 41)


def test_what_is_no_pair_is_refused() -> None:
    right = torch.tensor([True, False])
    with pytest.raises(ShapeError, match="the same examples twice, got 2 and 1"):
        paired_comparison(right, right[:1])
    with pytest.raises(ShapeError, match=r"one bool .*, got torch.float32 of shape \(2,\)"):
        paired_comparison(right, right.float())
    with pytest.raises(ShapeError, match=r"of shape \(0,\)"):
        paired_comparison(right[:0], right[:0])
    with pytest.raises(HyperparameterError, match=r"counts of at least 0.*got \(1, -1, 0, 0\)"):
        PairedComparison(1, -1, 0, 0)
    with pytest.raises(HyperparameterError, match=r"got \(0, 0, 0, 0\)"):
        PairedComparison(0, 0, 0, 0)
    with pytest.raises(HyperparameterError, match=r"confidence in \(0, 1\), got 1.5"):
        PairedComparison(1, 0, 0, 0).interval(1.5)

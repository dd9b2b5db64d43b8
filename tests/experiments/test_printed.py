"""What figures are compared with in print, and their accuracies, against plain countings."""

from dataclasses import replace

import pytest

from steadygrad.evaluation import AccuracyPoint, wilson_interval
from steadygrad.experiments import Network
from steadygrad.experiments.accuracies import Accuracies, accuracy_series, difference_interval
from steadygrad.experiments.matched import at_equal_clean_accuracy
from steadygrad.experiments.printed import (
    PrintedAccuracy,
    PrintedDifference,
    PrintedRadius,
    compared_with_print,
)
from steadygrad.training import TrainingConfig

PLAIN = TrainingConfig(data="digits", model="digits-real")
A, B, C = (Network(name, replace(PLAIN, penalty=f"squared-norm:strength={s}"))
           for name, s in (("a", 0.1), ("b", 0.2), ("c", 0.3)))  # fmt: skip
UNDEFENDED = Network("d", PLAIN)


def made(network: Network, *correct: int, clean: int = 90) -> Accuracies:
    """Return accuracies of 100 images at eps 0, 0.1, ..."""
    points = tuple(AccuracyPoint(k / 10, count, 100) for k, count in enumerate(correct))
    return Accuracies(network.label, (network,), (points,), (AccuracyPoint(0.0, clean, 100),))


def by_variant(*measured: Accuracies) -> dict[str, Accuracies]:
    return {one.networks[0].variant: one for one in measured}


def test_printed_accuracies_are_those_of_the_worst_network() -> None:
    entry = PrintedAccuracy(
        quantity="q", path="figure6_mnist_text/real_clean_beta_512", networks=(A, B), eps=0.1
    )
    reading = entry.ours(by_variant(made(A, 99, 80), made(B, 99, 70)))
    assert reading is not None
    assert reading.value == pytest.approx(70)
    low, high = wilson_interval(70, 100)
    assert reading.interval == pytest.approx((100 * low, 100 * high))
    assert "b" in reading.remark
    alone = entry.ours(by_variant(made(A, 99, 80)))
    assert alone is not None
    assert alone.remark.endswith("1 more not trained yet")
    assert entry.ours(by_variant(made(C, 99, 80))) is None


def test_printed_differences_have_newcombes_interval() -> None:
    entry = PrintedDifference(
        quantity="q",
        path="figure10_identical_architecture_text/svhn_clean_complex_minus_real",
        first=A,
        second=B,
        eps=0,
    )
    reading = entry.ours(by_variant(made(A, 0, clean=56), made(B, 0, clean=48)))
    assert reading is not None
    assert reading.value == pytest.approx(8)
    # Newcombe's own example (1998, Table II, case a): 56/70 against 48/80.
    low, high = difference_interval(AccuracyPoint(0, 56, 70), AccuracyPoint(0, 48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_printed_radii_are_where_the_last_network_is_lost() -> None:
    entry = PrintedRadius(
        quantity="q",
        path="figure9_cifar10_text/undefended_accuracy_near_zero_at_pixels_255",
        networks=(A, B),
    )
    reading = entry.ours(by_variant(made(A, 90, 4, 0), made(B, 90, 10, 3)))
    assert reading is not None
    assert reading.value == pytest.approx(0.2 * 255)
    standing = by_variant(made(A, 90), made(B, 90))
    (compared,) = compared_with_print("yeats2021", [entry], standing, None)
    assert (compared.ours, compared.verdict) == (None, "not comparable")
    assert "nowhere" in (compared.obstacle or "")


def test_seeds_are_averaged_and_do_not_multiply_the_images() -> None:
    one = made(A, 90, 50)
    both = Accuracies("a", one.networks * 2, (*one.curves, *made(A, 90, 70).curves), one.clean)
    series = accuracy_series(both)
    assert series.y == pytest.approx((90, 60))
    low, high = wilson_interval(60, 100)
    assert series.low is not None
    assert series.high is not None
    assert (series.low[1], series.high[1]) == pytest.approx((100 * low, 100 * high))


def test_equal_clean_accuracy_pairs_defended_networks_within_a_point() -> None:
    measured = [
        made(A, 90, 50, clean=90),
        made(B, 90, 60, clean=91),
        made(C, 90, 70, clean=93),
        made(UNDEFENDED, 90, 0, clean=90),
    ]
    table = at_equal_clean_accuracy(measured, "PGD(8)", 0.1)
    assert [row[:2] for row in table.rows] == [("a", "b")]
    assert table.rows[0][6] == -10

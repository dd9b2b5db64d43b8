"""Laws of steadygrad.reports.headline: plain words that the numbers bear out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from steadygrad.evaluation import wilson_interval
from steadygrad.reports import compare_runs, headline, load_runs

MakeRun = Callable[..., Path]
L1 = {"penalty": "l1", "strength": 0.02}


def sentences(*paths: Path) -> list[str]:
    return headline(compare_runs(load_runs(paths))[0])


def test_a_clear_winner_is_named_with_its_costs(make_run: MakeRun) -> None:
    first, undefended, clean, time = sentences(
        make_run("plain", half=0.03, seconds=1.0),
        make_run("robust", config=L1, half=0.2, clean=0.9, seconds=2.5),
    )
    # round(360 * 0.9 / (1 + 0.7^4)) = 261 and round(360 * 0.98 / (1 + (14/3)^4)) = 1 survive.
    low, high = (100 * end for end in wilson_interval(261, 360))
    assert first == (
        f"At eps 0.14, robust keeps the most accuracy: 72.5\u00a0% (95\u00a0% interval {low:.1f}–"
        f"{high:.1f}) of 360 images, ahead of plain at 0.3\u00a0%."
    )
    assert undefended == "Trained plainly, the same model (plain) keeps 0.3\u00a0% there."
    assert clean == (
        "Without attack, robust classifies 90.0\u00a0% correctly and plain 98.1\u00a0%: "
        "8.1 percentage points fewer."
    )
    assert time == "An epoch of robust took 2.5\u00a0s, one of plain 1.0\u00a0s: 2.5 times as long."


def test_a_few_images_more_or_less_are_not_distinguishable(make_run: MakeRun) -> None:
    first, *_, clean, _ = sentences(
        make_run("plain", half=0.03),
        make_run("one", config=L1, half=0.2),
        make_run("two", config=L1 | {"seed": 1}, half=0.202),
    )
    assert first.startswith("At eps 0.14, two measures best: ")
    assert "one (78.9\u00a0%) is not distinguishable from it; the next, plain at" in first
    assert clean.endswith("not distinguishable.")


@pytest.mark.parametrize(("search", "differ"), [("sweep", True), ("separate", False)])
def test_runs_on_the_same_images_are_paired_where_each_image_is_known(
    make_run: MakeRun, search: str, differ: bool
) -> None:
    # 284 and 294 of 360 survive, the same 284 in both: intervals overlap, McNemar says 0.002.
    first, *_ = sentences(
        make_run("one", half=0.2, search=search), make_run("two", half=0.21, search=search)
    )
    assert ("two keeps the most accuracy" in first) == differ
    assert ("the runs are not distinguishable" in first) == (not differ)


def test_no_price_is_named_for_nothing_shown(make_run: MakeRun) -> None:
    (only,) = sentences(make_run("a", half=0.2), make_run("b", config=L1, half=0.2))
    assert "the runs are not distinguishable on 360 images" in only


def test_no_better_than_guessing_is_said(make_run: MakeRun) -> None:
    told = sentences(make_run("a", half=0.02), make_run("b", half=0.03))
    assert "That is no better than guessing (10.0\u00a0%)." in told


@pytest.mark.parametrize(
    "other", [{"threads": 2}, {"device_name": "NVIDIA H200"}, {"processes": 4}], ids=str
)
def test_times_of_unlike_machines_are_not_divided(
    make_run: MakeRun, other: dict[str, object]
) -> None:
    told = sentences(make_run("a", half=0.03), make_run("b", config=L1, half=0.2, **other))
    assert told[-1].endswith("numbers of threads or processes: not comparable.")


def test_times_of_runs_that_did_not_record_their_device_are_compared(make_run: MakeRun) -> None:
    old = make_run("a", half=0.03, device_name=None, processes=None)
    told = sentences(old, make_run("b", config=L1, half=0.2, seconds=4.0))
    assert told[-1].endswith("2.0 times as long.")


def test_without_eps_zero_clean_accuracy_is_not_invented(make_run: MakeRun) -> None:
    eps = (0.1, 0.2, 0.3)
    told = sentences(make_run("a", half=0.03, eps=eps), make_run("b", half=0.3, eps=eps))
    assert "Accuracy without attack was not measured for all runs (no eps 0)." in told


def test_a_single_run_is_described_and_not_ranked(make_run: MakeRun) -> None:
    first, clean = sentences(make_run("alone", half=0.2))
    assert first.startswith("At eps 0.14, alone still classifies 78.9\u00a0%")
    assert clean.startswith("Without attack it classifies 98.1")


def test_no_shared_eps_means_no_winner(make_run: MakeRun) -> None:
    told = sentences(make_run("a", eps=(0.1,)), make_run("b", eps=(0.2,)))
    assert told == ["The runs share no eps at which they could be compared."]


@pytest.mark.parametrize("seconds", [1.02, 0.98])
def test_nearly_equal_times_are_called_so(make_run: MakeRun, seconds: float) -> None:
    told = sentences(
        make_run("a", half=0.03, seconds=1.0), make_run("b", half=0.2, seconds=seconds)
    )
    assert told[-1].endswith(": about the same.")

"""``steadygrad margin`` as a user types it."""

import json
from pathlib import Path

import pytest

from program import Program


def test_prints_the_figure_with_its_interval_and_stores_it(
    program: Program, trained_run: Path
) -> None:
    outcome = program("margin", trained_run, "--limit", 30)
    assert outcome.code == 0, outcome.err
    assert "deepfool on 30 images, overshoot 0.02, at most 100 steps" in outcome.out
    assert "mean |r|/|x|: 0." in outcome.out and "(95 % interval 0." in outcome.out
    assert "median: 0." in outcome.out
    (stored,) = (trained_run / "evaluations" / "margins").glob("deepfool-digits-test-30-*.json")
    assert stored.name in outcome.err.replace("\n", "")
    record = json.loads(stored.read_text())
    assert f"{record['mean']:.4f}" in outcome.out
    held = round(30 * record["unbroken"])
    assert f"kept their class: {held} ({100 * record['unbroken']:.1f} %)" in outcome.out
    assert ("are too low" in outcome.out) == (held > 0)
    assert len(record["model_digest"]) == 64


def test_json_is_all_there_is_on_standard_output(program: Program, trained_run: Path) -> None:
    outcome = program(
        "margin", trained_run, "--limit", 20, "--attack", "deepfool:steps=40", "--json"
    )
    printed = json.loads(outcome.out)
    assert set(printed) == {"attack", "n", "mean", "ci95", "median", "unbroken"}
    assert (printed["n"], printed["attack"]["steps"]) == (20, 40)
    assert 0 <= printed["unbroken"] < 1
    low, high = printed["ci95"]
    assert low < printed["mean"] < high


def test_margins_do_not_get_in_the_way_of_a_comparison(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    assert program("margin", trained_run, "--limit", 10).code == 0
    report = tmp_path / "report.html"
    outcome = program("compare", trained_run, "--out", report)
    assert outcome.code == 0, outcome.err
    assert report.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attack", "deepfool:overshoot=-1"), "expected overshoot >= 0, got -1"),
        (("--attack", "pgd"), "expected deepfool, which measures margins, got 'pgd'"),
        (("--attack", "deepfol"), "expected deepfool, which measures margins, got 'deepfol'"),
        (("--attack", "deepfool:steps=0"), "expected steps >= 1, got 0"),
        (("--attack", "deepfool:candidates=0"), "expected candidates >= 1, got 0"),
        (("--batch-size", 0), "expected batch_size >= 1, got 0"),
        (("--limit", 0), "limit"),
        (("--dataset", "nowhere"), "nowhere"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_is_one_sentence(
    program: Program, trained_run: Path, options: tuple[object, ...], message: str
) -> None:
    outcome = program("margin", trained_run, *options)
    assert outcome.code == 2
    assert message in outcome.err and "Traceback" not in outcome.err


def test_a_folder_without_a_run_is_refused(program: Program, tmp_path: Path) -> None:
    outcome = program("margin", tmp_path)
    assert outcome.code == 2 and "expected the folder of a run at" in outcome.err


def test_all_is_the_whole_split_whatever_the_limit(program: Program, trained_run: Path) -> None:
    options = ("--all", "--limit", 5, "--attack", "deepfool:steps=1", "--json")
    assert json.loads(program("margin", trained_run, *options).out)["n"] > 300
    assert json.loads(program("margin", trained_run, *options[1:]).out)["n"] == 5


def test_help_has_an_example_and_says_what_larger_means(program: Program) -> None:
    outcome = program("margin", "--help")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "Example: steadygrad margin" in said and "Larger is more robust" in said

"""Slow: from training to report, and whether the penalty does what the library exists for."""

import json
import os
from pathlib import Path

import pytest

from program import Program
from steadygrad.evaluation import read_evaluation

DATA = Path(os.environ.get("STEADYGRAD_DATA", Path(__file__).parents[3] / "shared/datasets"))
pytestmark = pytest.mark.slow


def mean_accuracy(run: Path) -> float:
    (stored,) = (run / "evaluations").glob("*.json")
    return read_evaluation(stored).curve.mean_accuracy


def test_the_demo_makes_both_networks_more_robust(program: Program, tmp_path: Path) -> None:
    outcome = program("demo", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "report.html").exists()
    for kind in ("complex", "real"):
        plain, regularized = (tmp_path / kind, tmp_path / f"{kind}-regularized")
        assert mean_accuracy(regularized) > mean_accuracy(plain) + 0.05
    again = program("demo", "--out", tmp_path)
    assert "is finished" in again.err


@pytest.mark.real_data
@pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason=f"MNIST is not in {DATA}")
def test_a_penalised_complex_network_on_mnist(program: Program, tmp_path: Path) -> None:
    accuracies = {}
    for name, options in {
        "plain": (),
        "penalised": ("--penalty", "squared-norm:strength=0.03"),
    }.items():
        run = tmp_path / name
        trained = program(
            *("train", "--dataset", "mnist", "--data-dir", DATA, "--limit-train", 12_000),
            *("--model", "yeats2021-mnist-complex", "--epochs", 3, *options, "--out", run),
        )
        assert trained.code == 0, trained.err
        evaluated = program("evaluate", run, "--eps", "0,0.1", "--limit", 500, "--json")
        accuracies[name] = [point["accuracy"] for point in json.loads(evaluated.out)["results"]]
    assert accuracies["penalised"][0] > 0.93
    assert accuracies["penalised"][1] > accuracies["plain"][1] + 0.1

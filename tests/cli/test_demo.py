"""``steadygrad demo`` in small; ``test_whole_way.py`` runs it whole."""

import shutil
from pathlib import Path

import pytest

from program import Program
from steadygrad.cli import demo
from steadygrad.training import TrainingConfig, run_config


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"epochs": 1, "limit_train": 32}.items():
        monkeypatch.setitem(demo._TRAINING, key, value)
    monkeypatch.setattr(demo, "_EPS", (0.0, 0.1))
    for name in ("complex", "complex-regularized"):
        monkeypatch.delitem(demo._RUNS, name)


@pytest.mark.usefixtures("small")
def test_the_demo_trains_once_and_again_only_for_another_seed(
    program: Program, tmp_path: Path
) -> None:
    assert program("demo", "--out", tmp_path).code == 0
    page = (tmp_path / "report.html").read_text()
    assert "squared L1 penalty, strength 0.03" in page
    assert run_config(tmp_path / "real-regularized") == TrainingConfig(
        data="digits",
        model="digits-real",
        penalty="squared-norm:strength=0.03",
        schedule="multi-step:30",
        epochs=1,
        batch_size=32,
        limit_train=32,
    )
    weights = tmp_path / "real" / "model.safetensors"
    first = weights.read_bytes()
    again = program("demo", "--out", tmp_path)
    assert (again.code, weights.read_bytes()) == (0, first)
    assert f"{tmp_path / 'real'} is finished" in again.err
    assert program("demo", "--out", tmp_path, "--seed", "1").code == 0
    assert weights.read_bytes() != first
    assert run_config(tmp_path / "real").seed == 1


@pytest.mark.usefixtures("small")
def test_what_is_no_run_of_the_demo_is_refused_before_anything_is_trained(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    last = "real-regularized"
    shutil.copytree(trained_run, tmp_path / "run" / last)
    (tmp_path / "folder" / last).mkdir(parents=True)
    (tmp_path / "folder" / last / "thesis.txt").touch()
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / last).touch()
    for out in (tmp_path / each for each in ("run", "folder", "file")):
        before = sorted(out.rglob("*"))
        refused = program("demo", "--out", out)
        assert refused.code == 2
        assert f"{out / last} is no run of the demo; choose another --out" in refused.err
        assert sorted(out.rglob("*")) == before

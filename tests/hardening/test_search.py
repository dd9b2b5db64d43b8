"""Searching for the penalty's radius that keeps a clean accuracy."""

import copy
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation import AccuracyPoint
from steadygrad.hardening import CleanDrop, Searched, search, search_hardening
from steadygrad.hardening.search import STUDY
from steadygrad.training import SilentProgress

optuna = pytest.importorskip("optuna")
EPS = 0.1


def searched(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, out: Path, **settings: object
) -> Searched:
    chosen: dict[str, object] = {
        "eps": EPS,
        "trials": 3,
        "epochs": 1,
        "audited": False,
        "optimizer": "adamw:learning_rate=0.002",
        "device": "cpu",
        "limit_train": 256,
    }
    return search_hardening(trained, digits.first(256), held_out, out=out, **(chosen | settings))


def hardened_with(*, before: int, after: int) -> Any:
    """Return a stand-in for ``harden``: so many of 500 images correct, attacked half of them."""

    def measured(correct: int) -> Any:
        attacked = AccuracyPoint(EPS, correct // 2, 500)
        return SimpleNamespace(
            clean=AccuracyPoint(0.0, correct, 500), worst_case=lambda _: attacked
        )

    report = SimpleNamespace(before=measured(before), after=measured(after), eps=EPS)

    def harden(*_: Any, out: Path, **__: Any) -> Any:
        return SimpleNamespace(is_finished=True, report=report, folder=out)

    return harden


def test_the_best_is_the_most_robust_that_meets_the_target(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    found = searched(trained, digits, held_out, tmp_path, target="clean-drop<=100")
    assert len(found.trials) == 3
    assert EPS in [pytest.approx(trial.penalty_radius) for trial in found.trials]
    assert [t.penalty_radius for t in found.trials] == sorted(
        t.penalty_radius for t in found.trials
    )
    assert found.best is not None and found.hardened is not None
    assert found.best.robust == max(trial.robust for trial in found.trials)
    record = json.loads((tmp_path / "search.json").read_text())
    assert record["best"] == found.best.folder.name
    assert (found.best.folder / "export").is_dir() and (tmp_path / "search.png").is_file()
    # The same call again finds all trials finished.
    again = searched(trained, digits, held_out, tmp_path, target="clean-drop<=100")
    assert again.trials == found.trials and again.best == found.best
    assert again.hardened is not None and again.hardened.folder == found.best.folder
    more = searched(trained, digits, held_out, tmp_path, target="clean-drop<=100", trials=4)
    assert len(more.trials) == 4
    for other, sentence in (
        ({"eps": 0.05}, "expected eps 0.1, as the search in .* was begun with, got 0.05"),
        ({"epochs": 2}, "expected epochs 1, .* got 2"),
        ({"smoothing": 0.1}, "expected smoothing its default, .* got 0.1"),
    ):
        with pytest.raises(HyperparameterError, match=sentence):
            searched(trained, digits, held_out, tmp_path, target="clean-drop<=50", **other)


def test_a_target_that_nothing_meets(
    trained: nn.Module,
    digits: ImageDataset,
    held_out: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = searched(
        trained,
        digits,
        held_out,
        tmp_path,
        target="clean-drop<=0",
        trials=1,
        smallest=10.0,
        largest=10.0,
        optimizer="adamw:learning_rate=0.02",
    )
    assert found.trials[0].drop > 0
    assert found.best is None and found.hardened is None
    assert "**best**" not in found.markdown()


@pytest.mark.parametrize(("after", "is_best"), [(485, True), (484, False)])
def test_a_network_that_loses_just_what_the_target_allows_meets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, is_best: bool
) -> None:
    monkeypatch.setattr(search, "harden", hardened_with(before=490, after=after))
    found = search_hardening(
        "digits-gelu", "digits", eps=EPS, target="clean-drop<=1", trials=1, out=tmp_path
    )
    assert (found.best is not None) is is_best
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/search.db")
    assert study.best_value == pytest.approx(0.484 if is_best else -1.2)


@pytest.mark.parametrize(
    ("norm", "eps", "radius"), [("l2", 0.5, "0.5 (L2)"), ("linf", 8 / 255, "8/255")]
)
def test_radii_are_written_in_the_norm_of_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: str, eps: float, radius: str
) -> None:
    monkeypatch.setattr(search, "harden", hardened_with(before=490, after=490))
    found = search_hardening("digits-gelu", "digits", eps=eps, norm=norm, trials=1, out=tmp_path)
    page = found.markdown()
    assert f"# Hardening for eps {radius}, at most 1 points" in page
    assert f"\n| {radius} | 98.0" in page
    assert json.loads((tmp_path / "search.json").read_text())["norm"] == norm


def test_a_refused_search_writes_no_trial_and_the_next_one_starts_at_eps(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(HyperparameterError, match="did you mean 8/255"):
        searched(trained, digits, held_out, tmp_path / "out", eps=8)
    assert not (tmp_path / "out").exists()
    with pytest.raises(HyperparameterError, match="expected epochs >= 1"):
        searched(trained, digits, held_out, tmp_path / "out", epochs=0)
    found = searched(trained, digits, held_out, tmp_path / "out", trials=1)
    assert [trial.penalty_radius for trial in found.trials] == [EPS]


def test_a_trial_whose_process_was_killed_is_run_again(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/search.db"
    study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize")
    study.enqueue_trial({"factor": 1.0})
    study.ask().suggest_float("factor", 0.25, 4.0, log=True)  # and no word of it ever after
    found = searched(trained, digits, held_out, tmp_path, target="clean-drop<=100", trials=1)
    assert [trial.penalty_radius for trial in found.trials] == [pytest.approx(EPS)]
    assert {trial.state.name for trial in study.trials} == {"FAIL", "COMPLETE"}
    assert not list(tmp_path.glob(".penalty*"))


def test_a_search_that_cannot_be_kept_is_one_sentence(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    for storage in ("nosuch://x", f"sqlite:///{tmp_path}/none/x.db"):
        with pytest.raises(OutputError, match="cannot keep the search in"):
            searched(trained, digits, held_out, tmp_path / "out", storage=storage)


def test_no_penalty_is_for_more_than_the_pixel_range(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    found = searched(
        trained, digits, held_out, tmp_path, eps=0.5, trials=1, smallest=3.0, largest=4.0
    )
    assert [trial.penalty_radius for trial in found.trials] == [1.0]


def test_a_search_goes_on_with_the_network_and_images_that_it_began_with(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    class Stopped(SilentProgress):
        def step(self, epoch: int, step: int, latest: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        searched(trained, digits, held_out, tmp_path, progress=Stopped())
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other[0].weight.add_(0.1)
    with pytest.raises(HyperparameterError, match=r"expected model .* with weights"):
        searched(other, digits, held_out, tmp_path)
    mirrored = replace(held_out, pixels=held_out.pixels.flip(-1))
    with pytest.raises(HyperparameterError, match="expected validation ImageDataset of 120, "):
        searched(trained, digits, mirrored, tmp_path)
    assert len(searched(trained, digits, held_out, tmp_path, trials=1).trials) == 1


@pytest.mark.parametrize(
    "settings",
    [{"recipe": "wide-noise:0.1"}, {"penalty": "norm:eps=0.1"}, {"penalty_radius": 0.1}],
)
def test_a_radius_that_is_fixed_is_not_searched_for(
    trained: nn.Module,
    digits: ImageDataset,
    held_out: ImageDataset,
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    with pytest.raises(HyperparameterError, match="along with a target, since the search chooses"):
        searched(trained, digits, held_out, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_searches_that_start_together_share_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "harden", hardened_with(before=450, after=450))
    monkeypatch.setattr(Searched, "write", lambda *_: None)
    monkeypatch.setattr(search, "_SECONDS_BETWEEN_LOOKS", 0.01)

    def begin(_: int) -> list[str]:
        found = search_hardening("digits-gelu", "digits", eps=EPS, trials=4, out=tmp_path)
        return [trial.folder.name for trial in found.trials]

    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(begin, range(3))
    assert len(set(first)) == 4 and others == [first, first]
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{tmp_path}/search.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4


@pytest.mark.parametrize("text", ["clean-drop<1", "clean<=1", "clean-drop<=x", "clean-drop<=1.2.3"])
def test_a_target_is_read_or_refused(text: str) -> None:
    assert CleanDrop.parse(" clean-drop <= 1.5 ") == CleanDrop(1.5)
    with pytest.raises(HyperparameterError, match="expected a target such as clean-drop<=1, got"):
        CleanDrop.parse(text)


def test_settings_that_mean_nothing(
    trained: nn.Module, digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    with pytest.raises(HyperparameterError, match="0 to 100 points, got 101"):
        CleanDrop.parse("clean-drop<=101")
    with pytest.raises(HyperparameterError, match="trials >= 1"):
        searched(trained, digits, held_out, tmp_path, trials=0)
    with pytest.raises(HyperparameterError, match="expected no overwrite along with a target"):
        searched(trained, digits, held_out, tmp_path, overwrite=True)
    with pytest.raises(HyperparameterError, match="smallest <= largest"):
        searched(trained, digits, held_out, tmp_path, smallest=2.0, largest=1.0)

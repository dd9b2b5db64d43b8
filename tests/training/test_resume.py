"""Stop and resume equals uninterrupted, to the bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.models import MODELS, RunModel
from steadygrad.penalties import NormPenalty
from steadygrad.training import (
    SilentProgress,
    TrainingConfig,
    TrainingResult,
    load_run_model,
    loop,
    run_config,
    train,
)

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "penalised with noise": {
        "penalty": "squared-norm:strength=0.05",
        "ramp": "ramp:2",
        "augmentation": ["flip", "crop:1", "uniform:0.1"],
        "update_similarity": True,
        "validation_size": 50,
    },
    "adam, attacked": {
        "optimizer": "adam",
        "attack": "mixture:attack=pgd,attack.eps=0.1,attack.steps=4,fraction=0.5",
    },
    "n-fgsm, averaged and clipped": {
        "optimizer": "adamw",
        "schedule": "cosine:warmup=1",
        "attack": "n-fgsm:eps=0.1",
        "averaging": "ema:0.9",
        "clipping": "norm:1",
        "validation_size": 50,
    },
    "lrc noise": {"attack": "mixture:attack=lrc,attack.eps=0.3,attack.samples=1"},
    "penalty in every second step": {
        "penalty": "squared-norm:strength=0.05,backend=finite-difference",
        "penalty_every": 2,
        "ramp": "ramp:epochs=1,after=1",
    },
    "structured": {
        "penalty": "sgr:strength=0.05,covariance=stationary,covariance.decay=0.3,"
        "covariance.every=2,covariance.source=pgd"
    },
    "structured with the mean": {
        "penalty": "sgr:strength=0.05,covariance=stationary,covariance.every=2,covariance.mean=true"
    },
    "finite difference, rate drop": {
        "penalty": "squared-norm:strength=0.05,norm=l2,backend=finite-difference",
        "schedule": "multi-step:1",
    },
}


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def without_seconds(result: TrainingResult) -> list[dict[str, Any]]:
    return [metrics.to_dict() | {"seconds": None} for metrics in result.history]


def assert_equal_runs(first: TrainingResult, second: TrainingResult) -> None:
    assert first.is_finished
    assert second.is_finished
    assert without_seconds(first) == without_seconds(second)
    for name in ("model.safetensors", "raw_model.safetensors"):
        files = [result.folder / name for result in (first, second)]
        assert files[0].exists() == files[1].exists()
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes()
    lines = (second.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [m.to_dict() for m in second.history]


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("at", [(1, 2), (2, 3)], ids=["in an epoch", "at the end of an epoch"])
def test_an_interrupted_run_resumes_to_the_same_bits(
    tmp_path: Path,
    config: Make,
    stop_after: Callable[..., Any],
    settings: dict[str, Any],
    at: tuple[int, int],
) -> None:
    settings = {"epochs": 3, **settings}
    whole = train(config(**settings), tmp_path / "whole")
    progress = stop_after(*at, press_ctrl_c)
    stopped = train(config(**settings), tmp_path / "stopped", progress=progress)
    assert not stopped.is_finished
    assert "resume the run in" in progress.messages[-1]
    resumed = train(config(**settings), tmp_path / "stopped", resume=True)
    assert_equal_runs(whole, resumed)


def test_a_run_whose_time_is_over_resumes_to_the_same_bits(tmp_path: Path, config: Make) -> None:
    whole = train(config(), tmp_path / "whole")
    stopped = train(config(), tmp_path / "stopped", minutes=1e-6)
    assert (stopped.is_finished, len(stopped.history)) == (False, 0)
    assert_equal_runs(whole, train(config(), tmp_path / "stopped", resume=True, minutes=60))
    with pytest.raises(HyperparameterError, match="expected minutes > 0, got 0"):
        train(config(), tmp_path / "other", minutes=0)
    assert not (tmp_path / "other").exists()


def test_dropout_and_running_statistics_resume_to_the_same_bits(
    tmp_path: Path, config: Make, build_tiny: BuildTiny, stop_after: Callable[..., Any]
) -> None:
    build_tiny(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10)
        )
    )
    whole = train(config(), tmp_path / "whole")
    train(config(), tmp_path / "stopped", progress=stop_after(1, 2, press_ctrl_c))
    assert_equal_runs(whole, train(config(), tmp_path / "stopped", resume=True))
    still = train(config(seed=1), tmp_path / "other")
    assert without_seconds(still) != without_seconds(whole)


KILLED = """
import os, signal, sys
from steadygrad.training import SilentProgress, train, TrainingConfig
import json

class Killer(SilentProgress):
    def step(self, epoch, step, latest):
        if (epoch, step) == (2, 2):
            os.kill(os.getpid(), signal.SIGKILL)

import torch
torch.set_num_threads(1)
train(TrainingConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], progress=Killer())
"""


@pytest.mark.parametrize("name", ["penalised with noise", "n-fgsm, averaged and clipped"])
def test_a_killed_process_resumes_to_the_same_bits(tmp_path: Path, config: Make, name: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # A checkpoint after every step: the kill comes between a step and its checkpoint.
        settings = config(checkpoint_seconds=0, **RUNS[name])
        whole = train(settings, tmp_path / "whole")
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, json.dumps(settings.to_dict()), tmp_path / "killed"],
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        state = torch.load(tmp_path / "killed" / "training_state.pt", weights_only=True)
        assert (state["epochs_done"], state["steps_done"]) == (1, 1)
        assert_equal_runs(whole, train(settings, tmp_path / "killed", resume=True))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("writer", ["write_state", "save_weights", "RunFolder.write_metrics"])
def test_a_kill_between_the_files_of_a_checkpoint_is_repaired(
    tmp_path: Path, config: Make, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    class Killed(BaseException):
        pass

    calls = 0

    def killed_the_second_time(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        original(*arguments)

    owner, _, name = writer.rpartition(".")
    target = getattr(loop, owner) if owner else loop
    original = getattr(target, name)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(target, name, killed_the_second_time)
        train(config(), tmp_path / "killed")
    assert len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()) == 1
    whole = train(config(), tmp_path / "whole")
    assert_equal_runs(whole, train(config(), tmp_path / "killed", resume=True))


def test_metrics_of_a_lost_epoch_are_cut_off(
    tmp_path: Path, config: Make, stop_after: Callable[..., Any]
) -> None:
    whole = train(config(), tmp_path / "whole")
    train(config(), tmp_path / "run", progress=stop_after(2, 1, press_ctrl_c))
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "loss": 123}\n{"epo')
    assert_equal_runs(whole, train(config(), tmp_path / "run", resume=True))


def test_a_run_killed_before_its_first_checkpoint_starts_again(
    tmp_path: Path, config: Make
) -> None:
    class Killed(SilentProgress):
        def step(self, epoch: int, step: int, latest: Any) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        train(config(), tmp_path / "killed", progress=Killed())
    whole = train(config(), tmp_path / "whole")
    assert_equal_runs(whole, train(config(), tmp_path / "killed", resume=True))


def test_a_finished_run_says_so_and_stays_as_it_is(
    run: TrainingResult, stop_after: Callable[..., Any]
) -> None:
    before = (run.folder / "model.safetensors").read_bytes()
    progress = stop_after(0, 0, press_ctrl_c)
    again = train(run_config(run.folder), run.folder, resume=True, progress=progress)
    assert "is finished: 2 epochs are done" in progress.messages[-1]
    assert again.history == run.history
    assert (run.folder / "model.safetensors").read_bytes() == before


def test_more_epochs_continue_a_finished_run_as_if_planned_from_the_start(
    tmp_path: Path, config: Make
) -> None:
    whole = train(config(epochs=3, schedule="multi-step:2"), tmp_path / "whole")
    train(config(epochs=2, schedule="multi-step:2"), tmp_path / "run")
    assert_equal_runs(
        whole, train(config(epochs=3, schedule="multi-step:2"), tmp_path / "run", resume=True)
    )
    assert run_config(tmp_path / "run").epochs == 3


def test_a_run_with_numbers_of_numpy_resumes(tmp_path: Path, config: Make) -> None:
    penalty = NormPenalty(eps=np.float64(0.01))
    planned = config(epochs=np.int64(1), checkpoint_seconds=np.float32(60), penalty=penalty)
    train(planned, tmp_path / "run")
    resumed = train(replace(planned, epochs=np.int64(2)), tmp_path / "run", resume=True)
    assert len(resumed.history) == 2
    assert run_config(tmp_path / "run") == replace(planned, epochs=2)


def replaced(source: Path, config: Make) -> None:
    train(config(model="digits-complex", epochs=1), source, overwrite=True)


@pytest.mark.parametrize("change", [replaced, lambda source, _config: shutil.rmtree(source)])
def test_a_run_outlives_the_run_that_its_network_comes_from(
    tmp_path: Path, config: Make, stop_after: Callable[..., Any], change: Callable[..., None]
) -> None:
    source = tmp_path / "source"
    train(config(epochs=1), source)
    tuned = config(model=RunModel(path=source))
    whole = train(tuned, tmp_path / "whole")

    def happens() -> None:
        change(source, config)
        press_ctrl_c()

    first = train(tuned, tmp_path / "run", progress=stop_after(1, 2, happens))
    assert not first.is_finished
    assert_equal_runs(whole, train(tuned, tmp_path / "run", resume=True))
    assert load_run_model(tmp_path / "run").spec.model == MODELS.of("digits-gelu")


def test_fewer_epochs_than_done_are_refused(run: TrainingResult) -> None:
    settings = run_config(run.folder).to_dict() | {"epochs": 1}
    with pytest.raises(CheckpointError, match="with 1 epochs: 2 epochs and 0 steps are done"):
        train(TrainingConfig.from_dict(settings), run.folder, resume=True)


def test_a_different_configuration_is_refused_by_the_names_of_its_settings(
    run: TrainingResult,
) -> None:
    settings = run_config(run.folder).to_dict() | {
        "penalty": "squared-norm:strength=0.5",
        "batch_size": 8,
    }
    before = (run.folder / "config.json").read_bytes()
    with pytest.raises(
        CheckpointError,
        match=r"another batch_size \(was 16, now 8\), penalty \(was 'squared-norm:strength=0\.01', "
        r"now 'squared-norm:strength=0\.5'\)",
    ):
        train(TrainingConfig.from_dict(settings), run.folder, resume=True)
    assert (run.folder / "config.json").read_bytes() == before


def test_nothing_to_resume_is_one_sentence(tmp_path: Path, config: Make) -> None:
    with pytest.raises(CheckpointError, match=r"no run in .*: it has no config\.json"):
        train(config(), tmp_path / "absent", resume=True)
    assert not (tmp_path / "absent").exists()


class Bomb:
    """Would create a file if anything unpickled it without restraint."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def test_a_state_that_would_run_code_is_refused_unrun(run: TrainingResult) -> None:
    marker = run.folder / "exploded"
    torch.save({"config": Bomb(marker)}, run.folder / "training_state.pt")
    with pytest.raises(CheckpointError, match=r"training_state\.pt is damaged"):
        train(run_config(run.folder), run.folder, resume=True)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut off"])
def test_a_damaged_state_is_one_sentence(run: TrainingResult, content: bytes) -> None:
    (run.folder / "training_state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"training_state\.pt is damaged") as error:
        train(run_config(run.folder), run.folder, resume=True)
    assert "\n" not in str(error.value)


def test_a_foreign_state_is_refused(run: TrainingResult) -> None:
    state = torch.load(run.folder / "training_state.pt", weights_only=True)
    cases = {
        "was trained on 41 images": {"train_size": 41},
        "was trained on cuda and cannot continue on cpu": {"device": "cuda"},
        "does not fit the run": {"model": {}},
        "another penalty": {"config": state["config"] | {"penalty": "gn:strength=7"}},
    }
    for message, change in cases.items():
        torch.save(state | change, run.folder / "training_state.pt")
        with pytest.raises(CheckpointError, match=message):
            train(run_config(run.folder), run.folder, resume=True)


def test_a_trained_network_whose_state_is_gone_is_not_trained_anew(run: TrainingResult) -> None:
    before = (run.folder / "model.safetensors").read_bytes()
    (run.folder / "training_state.pt").unlink()
    with pytest.raises(CheckpointError, match=r"it has weights, but no training_state\.pt"):
        train(run_config(run.folder), run.folder, resume=True)
    assert (run.folder / "model.safetensors").read_bytes() == before


def test_resume_and_overwrite_exclude_each_other(tmp_path: Path, config: Make) -> None:
    with pytest.raises(HyperparameterError, match="resume or overwrite, not both"):
        train(config(), tmp_path, resume=True, overwrite=True)


def test_a_run_outside_the_main_thread_works(tmp_path: Path, config: Make) -> None:
    results: list[TrainingResult] = []
    thread = threading.Thread(
        target=lambda: results.append(train(config(epochs=1), tmp_path / "run"))
    )
    thread.start()
    thread.join()
    assert results[0].is_finished


def test_a_run_from_before_a_setting_was_there_goes_on(
    tmp_path: Path, config: Make, stop_after: Callable[..., Any]
) -> None:
    whole = train(config(), tmp_path / "whole")
    folder = tmp_path / "stopped"
    train(config(), folder, progress=stop_after(1, 2, press_ctrl_c))
    values = json.loads((folder / "config.json").read_text())
    del values["averaging"]
    (folder / "config.json").write_text(json.dumps(values))
    state = torch.load(folder / "training_state.pt", weights_only=True)
    del state["config"]["averaging"]
    torch.save(state, folder / "training_state.pt")
    assert_equal_runs(whole, train(config(), folder, resume=True))

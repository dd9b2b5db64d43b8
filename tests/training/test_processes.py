"""Two processes end where one process ends, and a failure of one ends both."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from distributed_world import in_processes
from steadygrad.datasets import load_dataset
from steadygrad.distributed import alone
from steadygrad.errors import ProcessError
from steadygrad.layers import BatchNorm2d
from steadygrad.models import ObjectModel
from steadygrad.training import (
    EpochMetrics,
    SilentProgress,
    StepMetrics,
    TrainingConfig,
    load_model,
    train,
)
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.session import TrainingSession
from steadygrad.training.training_state import read_state

DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "model": "digits-gelu",
    "limit_train": 65,  # the last batch of an epoch has a single image: one process has none
    "batch_size": 16,
    "epochs": 2,
    "device": "cpu",
    "optimizer": "sgd:learning_rate=0.05",
}
ROBUST = {"penalty": "squared-norm:strength=0.01"}
RUNS: dict[str, dict[str, Any]] = {
    "plain": {"validation_size": 600, "test_images": 30},
    "noise": ROBUST
    | {
        "augmentation": ("flip", "crop:1", "gaussian:0.1", "uniform:0.05"),
        "clipping": "norm:0.5",
        "update_similarity": True,
    },
    # A higher rate would let its weights, and with them the rounding, grow.
    "complex": ROBUST | {"model": "digits-complex", "optimizer": "sgd:learning_rate=0.005"},
    "learned": {"penalty": "sgr:strength=0.1,covariance=stationary,covariance.source=gradient"},
    "attacked": {"attack": "pgd:eps=0.1,steps=3", "averaging": "ema:0.9"},
}
"""Trainings in single precision, from the configuration to the files."""

STEPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "complex, penalty": ROBUST | {"model": "digits-complex"},
    "norm": {"penalty": "norm:eps=0.05"},
    "fraction": {"penalty": "squared-norm:strength=0.05,fraction=0.17"},  # 2 and 1 of 16
    "every second step": {"penalty": "squared-norm:strength=0.05", "penalty_every": 2},
    "finite difference": {"penalty": "squared-norm:strength=0.05,backend=finite-difference"},
    "dense covariance, attack": {
        "penalty": "sgr:strength=0.1,covariance=dense,covariance.source=pgd,covariance.every=2",
    },
    "covariance, few images": {
        "penalty": "sgr:strength=0.1,covariance=radial,covariance.source=gradient,fraction=0.05",
    },
    "restarts": {"attack": "pgd:eps=0.3,steps=2,restarts=4"},
    "random targets": {"attack": "pgd:eps=0.1,steps=2,target=random,norm=l2"},
    "correlated noise": {"attack": "lrc:eps=0.2,samples=3"},
    "mixture": {"attack": "mixture:attack=pgd,attack.eps=0.1,attack.steps=2,fraction=0.05"},
    "mixup": ROBUST | {"mixing": "mixup:0.3", "clipping": "value:0.01"},
    "batch norm": {"model": "batch norm"},
    "batch norm, penalty": ROBUST | {"model": "batch norm"},
    "batch norm, fraction": {
        "model": "batch norm",
        "penalty": "squared-norm:strength=0.05,fraction=0.05",
    },
    "batch norm, running": {
        "model": "batch norm",
        "penalty": "squared-norm:strength=0.05,backend.statistics=running",
    },
    "batch norm, finite difference": {
        "model": "batch norm",
        "penalty": "squared-norm:strength=0.05,backend=finite-difference",
    },
}
"""Steps in double precision."""


def config(**settings: Any) -> TrainingConfig:
    chosen = DEFAULTS | settings
    if chosen["model"] == "batch norm":
        chosen["model"] = ObjectModel.of(normalised())
    return TrainingConfig(**chosen)


def normalised() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        BatchNorm2d(4),
        nn.GELU(),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def stepped(settings: dict[str, Any]) -> tuple[list[Tensor], Tensor]:
    """Return the numbers of each step of an epoch in double precision, and the state after it."""
    with torch.random.fork_rng():
        chosen = config(**settings)
        data = load_dataset("digits", "train", limit=chosen.limit_train)
        session = TrainingSession(chosen, data, torch.device("cpu"))
        session.model.double()
        numbers = []
        for images, labels in session.remaining_batches():
            numbers.append(session.step(images.double(), labels))
            session.steps_done += 1
        whole = session.weights.whole(session.model.state_dict())
        state = [tensor.double().flatten() for tensor in whole.values()]
        return numbers, torch.cat(state)


def held_by_a_process(settings: TrainingConfig) -> dict[str, int]:
    """Return how many numbers a process holds of the weights and of their momentum, and of all."""
    data = load_dataset("digits", "train", limit=64)
    session = TrainingSession(settings, data, torch.device("cpu"))
    session.step(*next(session.remaining_batches()))
    parameters: list[Any] = list(session.model.parameters())
    states: list[Any] = [each["momentum_buffer"] for each in session.optimizer.state.values()]
    return {
        "needed": sum(parameter.numel() for parameter in parameters),
        "held": sum(parameter.to_local().numel() for parameter in parameters),
        "state": sum(state.to_local().numel() for state in states),
    }


class StopAt(SilentProgress):
    """Sends this process the signal of Ctrl-C after a step of the second epoch."""

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)


def two_ranks(rank: int, folder: Path) -> dict[str, Any]:
    """Everything that is shown of two processes, in one start of them."""
    for name, settings in RUNS.items():
        train(config(**settings), folder / name)
        train(config(**settings, shard=True), folder / f"{name}, divided")
    attacked, divided = config(**RUNS["attacked"]), config(**RUNS["attacked"], shard=True)
    stopped = train(attacked, folder / "stopped", progress=StopAt())
    train(divided, folder / "divided", progress=StopAt())
    train(divided, folder / "taken up", progress=StopAt())
    train(divided, folder / "taken up", resume=True)
    if rank == 0:
        with alone():
            train(attacked, folder / "begun by one", progress=StopAt())
    resumed = train(divided, folder / "begun by one", resume=True)
    found: dict[str, Any] = {"finished": stopped.is_finished}
    found["returned"] = resumed.model.state_dict()
    found |= held_by_a_process(divided)
    for name, settings in STEPS.items():
        found[name] = stepped(settings)
        found[f"{name}, divided"] = stepped(settings | {"shard": True})
        with patch("steadygrad.training.weights._GROUP", 100):
            found[f"{name}, divided in groups"] = stepped(settings | {"shard": True})
    if rank == 1:
        TrainingSession.step = partial(broken, TrainingSession.step)  # type: ignore[method-assign]
    try:
        train(config(), folder / "broken")
    except (MemoryError, ProcessError) as error:
        found["failure"] = f"{type(error).__name__}: {error}"
    return found


def broken(step: Any, *_: Any) -> Tensor:
    raise MemoryError("no memory left")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return in_processes(partial(two_ranks, folder=folder))


def weights(file: Path) -> Tensor:
    model, _ = load_model(file)
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def lines(history: tuple[EpochMetrics, ...]) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.to_dict().items() if k != "seconds"} for each in history]


@pytest.mark.parametrize("held", ["", ", divided"])
@pytest.mark.parametrize("name", RUNS)
def test_a_training_in_two_processes_ends_where_one_ends(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path, name: str, held: str
) -> None:
    one, two = RunFolder(tmp_path / "run"), RunFolder(folder / f"{name}{held}")
    history = train(config(**RUNS[name]), one.path).history
    files = {file.name for file in one.path.iterdir()}
    assert {file.name for file in two.path.iterdir()} == files
    for file in (one.model, one.raw_model) if RUNS[name].get("averaging") else (one.model,):
        difference = weights(file) - weights(two.path / file.name)
        assert difference.abs().max() < 1e-6
    state, expected = read_state(two.state), read_state(one.state)
    assert all(torch.equal(state.generators[key], s) for key, s in expected.generators.items())
    for ours, theirs in zip(state.history, lines(history), strict=True):
        assert ours.pop("seconds") > 0
        assert [key for key in ours if ours[key] is None] == [
            k for k in theirs if theirs[k] is None
        ]
        numbers = {key: value for key, value in theirs.items() if value is not None}
        assert {key: ours[key] for key in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["stopped", "divided"])
def test_what_two_processes_left_one_goes_on_with(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path, name: str
) -> None:
    assert not any(each["finished"] for each in found)
    settings = config(**RUNS["attacked"])
    state = read_state(RunFolder(folder / name).state)
    assert (state.epochs_done, state.steps_done) == (1, 3)
    train(settings, folder / name, resume=True)
    train(settings, tmp_path / "run")
    assert_same_networks(folder / name, tmp_path / "run")


def test_two_processes_divide_what_one_or_two_left(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    train(config(**RUNS["attacked"]), tmp_path / "run")
    for name in ("taken up", "begun by one"):
        assert_same_networks(folder / name, tmp_path / "run")
        state = read_state(RunFolder(folder / name).state)
        assert all(type(tensor) is Tensor for tensor in state.model.values())


def assert_same_networks(ours: Path, theirs: Path) -> None:
    for file in ("model.safetensors", "raw_model.safetensors"):
        assert (weights(ours / file) - weights(theirs / file)).abs().max() < 1e-6


def test_processes_that_divide_a_network_hold_a_part_and_return_the_whole(
    found: list[dict[str, Any]], folder: Path
) -> None:
    whole, _ = load_model(folder / "begun by one/model.safetensors")
    for rank in found:
        assert rank["held"] == rank["needed"] // 2
        assert rank["state"] == rank["held"]  # the momentum
        for name, tensor in rank["returned"].items():
            torch.testing.assert_close(tensor, whole.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("held", ["", ", divided", ", divided in groups"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_in_double_precision_are_those_of_one_process_to_rounding(
    found: list[dict[str, Any]], name: str, held: str
) -> None:
    numbers, state = stepped(STEPS[name])
    # A finite difference divides the rounding by its step.
    tolerance = 1e-6 if "finite" in name else 1e-10
    for rank in found:
        ours, after = rank[f"{name}{held}"]
        torch.testing.assert_close(after, state, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(ours, numbers, rtol=1e-5, atol=1e-6, equal_nan=True)
    assert torch.equal(found[0][f"{name}{held}"][1], found[1][f"{name}{held}"][1])


def test_the_main_process_says_why_another_one_failed(found: list[dict[str, Any]]) -> None:
    assert found[1]["failure"] == "MemoryError: no memory left"
    assert found[0]["failure"] == (
        "ProcessError: process 1 of 2 failed: MemoryError('no memory left'); "
        "no checkpoint was written before"
    )

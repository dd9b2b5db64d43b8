"""A small run on the embedded digits, and tiny networks in place of a named one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from steadygrad.models import MODELS
from steadygrad.training import SilentProgress, StepMetrics, TrainingConfig, TrainingResult, train

BuildTiny = Callable[[Callable[[], nn.Module]], None]


@pytest.fixture
def config() -> Callable[..., TrainingConfig]:
    """Settings of a run of a fraction of a second; keywords replace them."""

    def make(**settings: Any) -> TrainingConfig:
        defaults: dict[str, Any] = {
            "data": "digits",
            "model": "digits-gelu",
            "limit_train": 40,
            "batch_size": 16,
            "epochs": 2,
            "device": "cpu",
        }
        return TrainingConfig(**(defaults | settings))

    return make


@pytest.fixture
def build_tiny(monkeypatch: pytest.MonkeyPatch) -> BuildTiny:
    """Make the part ``digits-gelu`` build the given network instead."""

    def replace(factory: Callable[[], nn.Module]) -> None:
        def build(self: Any, **_shape: Any) -> nn.Module:
            return factory()

        monkeypatch.setattr(MODELS.get("digits-gelu"), "build", build)

    return replace


class StopAfter(SilentProgress):
    """Presses Ctrl-C, or raises, after a step."""

    def __init__(self, epoch: int, step: int, action: Callable[[], None]) -> None:
        self.at, self.action = (epoch, step), action
        self.messages: list[str] = []

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        if (epoch, step) == self.at:
            self.action()

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def stop_after() -> type[StopAfter]:
    return StopAfter


@pytest.fixture
def run(tmp_path: Path, config: Callable[..., TrainingConfig]) -> TrainingResult:
    """A finished run."""
    settings = config(penalty="squared-norm:strength=0.01", validation_size=100)
    return train(settings, tmp_path / "run")


@pytest.fixture
def real_data_dir() -> Path:
    """Where local copies of the data sets lie."""
    default = Path(__file__).resolve().parents[3] / "shared" / "datasets"
    folder = Path(os.environ.get("STEADYGRAD_DATA", default))
    if not (folder / "mnist").is_dir():
        pytest.skip("no MNIST beside the project; set STEADYGRAD_DATA to a folder that holds it")
    return folder

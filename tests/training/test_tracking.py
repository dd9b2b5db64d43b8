"""Trackers get every epoch once, whatever happens, and none of it ends a run."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from steadygrad.errors import CheckpointError, MissingExtraError, OutputError
from steadygrad.training import (
    TRACKERS,
    SilentProgress,
    StepMetrics,
    TrackedRun,
    TrainingConfig,
    tracker,
    train,
)

Make = Callable[..., TrainingConfig]


@dataclass
class Notebook:
    """What a tracker was told, in order."""

    begun: list[TrackedRun] = field(default_factory=list)
    written: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)


NOTES: dict[str, Notebook] = {}


@dataclass(frozen=True, kw_only=True)
class InNotebook:
    """Writes down what it is told."""

    positional: ClassVar[str] = "title"

    title: str = "notes"

    def check(self) -> None:
        if self.title == "absent":
            raise MissingExtraError("there is no paper")

    def open(self, run: TrackedRun) -> "OpenNotebook":
        if self.title == "locked":
            raise ConnectionError("the drawer is locked\nand the key is lost")
        notes = NOTES.setdefault(self.title, Notebook())
        notes.begun.append(run)
        return OpenNotebook(notes, run.key or f"page {len(notes.begun)}")


@dataclass
class OpenNotebook:
    notes: Notebook
    key: str

    def write(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch in self.notes.refused:
            self.notes.refused.discard(epoch)
            raise ConnectionError("no ink")
        self.notes.written.append((epoch, dict(metrics)))

    def close(self, *, is_finished: bool) -> None:
        self.notes.closed.append(is_finished)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for registry in ("_classes", "_names", "_about"):
        monkeypatch.setattr(TRACKERS, registry, dict(getattr(TRACKERS, registry)))
    tracker("test-notebook")(InNotebook)
    yield
    NOTES.clear()


class Told(SilentProgress):
    """Keeps messages, and interrupts the run after a step."""

    def __init__(self, stop_at: tuple[int, int] = (0, 0)) -> None:
        self.messages: list[str] = []
        self.stop_at = stop_at

    def message(self, text: str) -> None:
        self.messages.append(text)

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        if (epoch, step) == self.stop_at:
            raise KeyboardInterrupt


def test_a_tracker_gets_settings_and_metrics_of_each_epoch(tmp_path: Path, config: Make) -> None:
    settings = config(trackers=["test-notebook"], penalty="norm:eps=0.1", validation_size=20)
    result = train(settings, tmp_path / "run")
    (notes,) = NOTES.values()
    (begun,) = notes.begun
    assert (begun.name, begun.key) == (str(tmp_path / "run"), None)
    assert begun.settings["penalty.eps"] == 0.1 and begun.settings["augmentation"] == "[]"
    assert not any("trackers" in key for key in begun.settings)
    assert [epoch for epoch, _ in notes.written] == [1, 2]
    for (_, values), metrics in zip(notes.written, result.history, strict=True):
        expected = {k: v for k, v in metrics.to_dict().items() if v is not None and k != "epoch"}
        assert values == expected
    assert notes.closed == [True]


def test_a_resumed_run_goes_on_in_its_tracker(tmp_path: Path, config: Make) -> None:
    settings = config(trackers=["test-notebook"], epochs=3)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path, progress=Told((2, 1)))
    train(settings, tmp_path, resume=True)
    (notes,) = NOTES.values()
    assert [run.key for run in notes.begun] == [None, "page 1"]
    assert [epoch for epoch, _ in notes.written] == [1, 2, 3]
    assert notes.closed == [False, True]


def test_a_tracker_that_joins_later_gets_what_went_before(tmp_path: Path, config: Make) -> None:
    train(config(), tmp_path)
    train(config(epochs=3, trackers=["test-notebook"]), tmp_path, resume=True)
    assert [epoch for epoch, _ in NOTES["notes"].written] == [1, 2, 3]


def test_a_replaced_run_is_another_one_in_its_tracker(tmp_path: Path, config: Make) -> None:
    for _ in range(2):
        train(config(trackers=["test-notebook"]), tmp_path, overwrite=True)
    assert [run.key for run in NOTES["notes"].begun] == [None, None]
    records = json.loads((tmp_path / "trackers.json").read_text())
    assert records == {"test-notebook": {"key": "page 2", "epochs": 2}}


def test_what_a_tracker_does_not_take_is_told_of_and_offered_again(
    tmp_path: Path, config: Make
) -> None:
    NOTES["notes"] = Notebook(refused={2})
    told = Told()
    result = train(config(trackers=["test-notebook"], epochs=3), tmp_path, progress=told)
    assert result.is_finished
    assert [epoch for epoch, _ in NOTES["notes"].written] == [1, 2, 3]
    (sentence,) = told.messages
    assert "did not take epoch 2" in sentence and "ConnectionError: no ink" in sentence


def test_metrics_are_the_same_with_and_without_a_tracker(tmp_path: Path, config: Make) -> None:
    for name, trackers in (("with", ["test-notebook"]), ("without", [])):
        train(config(trackers=trackers), tmp_path / name)
    ours, theirs = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without")
    )
    assert ours == theirs


def test_a_missing_library_is_refused_before_anything_is_written(
    tmp_path: Path, config: Make
) -> None:
    with pytest.raises(MissingExtraError, match="no paper"):
        train(config(trackers=["test-notebook:absent"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_does_not_begin_is_one_sentence(tmp_path: Path, config: Make) -> None:
    sentence = r"^the tracker test-notebook:locked does not begin: .*: the drawer is locked$"
    with pytest.raises(OutputError, match=sentence):
        train(config(trackers=["test-notebook:locked"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_is_named(tmp_path: Path, config: Make) -> None:
    settings = config(trackers=["test-notebook"])
    train(settings, tmp_path)
    (tmp_path / "trackers.json").write_text('{"test-notebook": {"epochs": 2}}')
    with pytest.raises(CheckpointError, match=r"trackers.json, .* it has no 'key'"):
        train(settings, tmp_path, resume=True)


def test_wandb_is_asked_for_a_run_that_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def init(**options: Any) -> Any:
        calls.append(options)
        return SimpleNamespace(
            log=lambda values, step: calls.append((step, values)),
            finish=lambda exit_code: calls.append(exit_code),
        )

    fake: Any = ModuleType("wandb")
    fake.init, fake.Settings = init, dict
    monkeypatch.setitem(sys.modules, "wandb", fake)
    part = TRACKERS.parse("wandb:robust,entity=team")
    part.check()
    for key in (None, "known"):
        opened = part.open(TrackedRun(name="runs/a", settings={"epochs": 2}, key=key))
        opened.write(4, {"loss": 0.5})
        opened.close(is_finished=key is not None)
    first, second = calls[0], calls[3]
    assert (first["project"], first["entity"], first["name"]) == ("robust", "team", "runs/a")
    assert len(first["id"]) == 8 and first["resume"] == "allow"
    assert first["config"] == {"epochs": 2}
    assert second["id"] == "known"
    assert calls[1:3] == [(4, {"loss": 0.5}), 1] and calls[5] == 0


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf"{name} is not .*steadygrad\[trackers\]"):
            TRACKERS.parse(name).check()


@dataclass(frozen=True, kw_only=True)
class Opens:
    """A tracker that begins with something else than a run of its own."""

    opened: Any

    def check(self) -> None:
        pass

    def open(self, run: TrackedRun) -> Any:
        return self.opened


@pytest.mark.parametrize("opened", [None, SimpleNamespace(key=17)])
def test_a_tracker_has_to_say_how_it_finds_the_run_again(
    tmp_path: Path, config: Make, opened: Any
) -> None:
    with pytest.raises(
        OutputError, match=r"the tracker .* does not begin: .*(no attribute|got 17)"
    ):
        train(config(trackers=(Opens(opened=opened),)), tmp_path / "run")
    assert not (tmp_path / "run").exists()

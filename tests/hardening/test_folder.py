"""The folder of a hardening: what a refusal, a resumption and a replacement do to it."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.datasets import ImageDataset
from steadygrad.errors import (
    CheckpointError,
    HyperparameterError,
    ModelError,
    OutputError,
    SteadygradError,
)
from steadygrad.hardening import Hardened, harden
from steadygrad.models import MODELS, RunModel, TransformersModel, load_model
from steadygrad.training import SilentProgress, TrainingConfig, train

Run = Callable[..., Hardened]


@pytest.fixture
def run(digits: ImageDataset, held_out: ImageDataset, tmp_path: Path) -> Run:
    def hardened(model: Any, **settings: Any) -> Hardened:
        chosen: dict[str, Any] = {
            "eps": 0.1,
            "epochs": 1,
            "out": tmp_path / "out",
            "audited": False,
            "device": "cpu",
        }
        return harden(model, digits.first(64), held_out.first(16), **(chosen | settings))

    return hardened


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def other(network: nn.Module) -> nn.Module:
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed[0].weight.add_(0.1)
    return changed


class Softmax(nn.Module):
    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, images: Tensor) -> Tensor:
        return self.inside(images).softmax(1)


def test_a_refused_call_writes_nothing(run: Run, trained: nn.Module, tmp_path: Path) -> None:
    run(trained)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is not empty"):
        run(other(trained))
    for settings in ({}, {"audited": True}):
        with pytest.raises(CheckpointError, match="are not those it was begun with"):
            run(other(trained), resume=True, **settings)
    with pytest.raises(CheckpointError, match="with another seed"):
        run(trained, resume=True, seed=7)
    refused: list[dict[str, Any]] = [
        {"augmentation": ["crop:99"]},
        {"audited": True},
        {"penalty": "norm:eps=0.1,fraction=2"},
    ]
    for settings in refused:
        for where in ({"overwrite": True}, {"out": tmp_path / "fresh" / "out"}):
            with pytest.raises(SteadygradError):
                run(Softmax(trained), **(settings | where))
    assert contents(tmp_path) == before and not (tmp_path / "fresh").exists()
    assert run(trained, resume=True).is_finished


def test_a_replaced_hardening_leaves_no_results_beside_the_new_run(
    run: Run, trained: nn.Module, tmp_path: Path
) -> None:
    run(trained)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    run(trained, overwrite=True, progress=PressCtrlC(at=2), batch_size=16)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"original.safetensors", "run", "notes.txt"}
    assert run(trained, resume=True, batch_size=16).report is not None


def test_a_hardening_is_not_replaced_by_one_of_its_own_network(
    run: Run, trained: nn.Module, tmp_path: Path
) -> None:
    run(trained)
    before = contents(tmp_path)
    exported = tmp_path / "out" / "export" / "hub"
    for model in (RunModel(path=tmp_path / "out" / "run"), TransformersModel(source=str(exported))):
        with pytest.raises(OutputError, match=r"cannot overwrite .*: the network comes from"):
            run(model, overwrite=True)
    with pytest.raises(OutputError, match=r"the network comes from .*original\.safetensors"):
        weights = tmp_path / "out" / "original.safetensors"
        run("my.nets:build", weights=weights, overwrite=True)
    assert contents(tmp_path) == before


class PressCtrlC(SilentProgress):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, epoch: int, step: int, latest: Any) -> None:
        if step == self.at:
            import signal

            signal.raise_signal(signal.SIGINT)


def test_a_hardening_outlives_the_run_that_its_network_comes_from(
    digits: ImageDataset, held_out: ImageDataset, tmp_path: Path
) -> None:
    train(TrainingConfig(data="digits", model="digits-gelu", epochs=1), tmp_path / "run")

    class Removed(SilentProgress):
        def epoch(self, metrics: Any) -> None:
            shutil.rmtree(tmp_path / "run")

    source, out = RunModel(path=tmp_path / "run"), tmp_path / "out"
    images = digits.first(64), held_out.first(16)
    done = harden(
        source, *images, eps=0.1, epochs=1, audited=False, out=out, progress=Removed(), device="cpu"
    )
    assert done.report is not None and done.taken is not None
    assert load_model(out / "original.safetensors")[1].model == MODELS.of("digits-gelu")


def test_what_never_began_begins_when_it_is_resumed(
    run: Run, trained: nn.Module, tmp_path: Path
) -> None:
    whole, resumed = run(trained, out=tmp_path / "whole"), run(trained, resume=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    with pytest.raises(HyperparameterError, match="resume or overwrite, not both"):
        run(trained, resume=True, overwrite=True, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_given_network_gets_no_trace_and_the_result_can_be_trained_on(
    run: Run, trained: nn.Module
) -> None:
    given = copy.deepcopy(trained)
    given[3].requires_grad_(False)
    given.register_buffer("calls", torch.zeros(()))
    given.register_forward_pre_hook(lambda module, _: setattr(module, "calls", module.calls + 1))
    done = run(given, freeze=["0"])
    assert not given.calls and done.model.calls
    assert [p.requires_grad for p in done.model.parameters()] == [
        p.requires_grad for p in given.parameters()
    ]


def test_an_unfit_network_is_refused_before_the_training_or_accepted(
    run: Run, trained: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    steps: list[int] = []

    class Count(SilentProgress):
        def step(self, epoch: int, step: int, latest: Any) -> None:
            steps.append(step)

    probabilities = Softmax(copy.deepcopy(trained))
    with pytest.raises(
        ModelError, match=r"probabilities, not logits.* accept probabilities; or .*-no-a"
    ):
        run(probabilities, audited=True, progress=Count())
    assert not steps and not (tmp_path / "out").exists()
    with pytest.raises(SteadygradError, match="expected a problem that can be accepted"):
        run(probabilities, accept=["everything"])
    done = run(probabilities, audited=True, accept=["probabilities"], report_images=4)
    assert done.report is not None and done.report.after.audit is not None


class TurnsIntoProbabilities(nn.Module):
    """Its outputs are logits until it was trained."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside, self.has_learned = inside, False

    def forward(self, images: Tensor) -> Tensor:
        self.has_learned |= self.training
        logits = self.inside(images)
        return logits if self.training or not self.has_learned else logits.softmax(1)


def test_a_network_that_the_training_makes_unfit_has_a_report_without_audits(
    run: Run, trained: nn.Module, tmp_path: Path
) -> None:
    messages: list[str] = []

    class Listen(SilentProgress):
        def message(self, text: str) -> None:
            messages.append(text)

    network = TurnsIntoProbabilities(copy.deepcopy(trained))
    done = run(network, audited=True, averaging=None, progress=Listen(), report_images=4)
    assert done.report is not None and done.taken is not None
    assert done.report.before.audit is None and done.report.after.audit is None
    assert any("the report is without an audit: this cannot be audited" in m for m in messages)
    assert (tmp_path / "out" / "report.md").is_file()

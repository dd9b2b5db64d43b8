"""What ends a run with a sentence: divergence, occupied folders, and what a first step refuses."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from starts_at_zero import Zeros
from steadygrad.errors import (
    HyperparameterError,
    NonFiniteLossError,
    OutputError,
    SteadygradError,
)
from steadygrad.models import RunModel, Smooth
from steadygrad.training import (
    SilentProgress,
    StepMetrics,
    TrainingConfig,
    load_model,
    train,
)

Make = Callable[..., TrainingConfig]
BuildTiny = Callable[[Callable[[], nn.Module]], None]


class BlowsUp(Zeros):
    """Softmax regression whose logits are infinite from the given call on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.calls, self.after = 0, after

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(images) + (math.inf if self.calls > self.after else 0)


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: BlowsUp(after=4))  # 3 steps an epoch
    with pytest.raises(
        NonFiniteLossError,
        match=r"not finite at epoch 2, step 2: data loss nan, penalty 0; the last good checkpoint",
    ):
        train(config(), tmp_path / "run")
    tensors = load_model(tmp_path / "run" / "model.safetensors")[0].state_dict()
    build_tiny(Zeros)
    good = train(config(epochs=1), tmp_path / "good")
    assert torch.equal(tensors["weight"], good.model.state_dict()["weight"])
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_divergence_before_any_checkpoint_says_so(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: BlowsUp(after=0))
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step 1.*no checkpoint was written"):
        train(config(), tmp_path / "run")


class RootAtZero(Zeros):
    """A finite loss with an infinite gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.weight.sum().square().sqrt() * images.mean()


@pytest.mark.parametrize("attack", ["none", "pgd:eps=0.1,steps=4"])
def test_a_finite_loss_with_an_infinite_gradient_never_reaches_a_checkpoint(
    tmp_path: Path, config: Make, build_tiny: BuildTiny, attack: str
) -> None:
    build_tiny(RootAtZero)
    with pytest.raises(NonFiniteLossError, match="weights are not finite after epoch 1, step 1"):
        train(config(checkpoint_seconds=0, attack=attack), tmp_path / "a")
    assert not (tmp_path / "a" / "training_state.pt").exists()
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step [12]"):
        train(config(attack=attack), tmp_path / "b")
    one_step = config(limit_train=16, attack=attack)
    with pytest.raises(NonFiniteLossError, match="weights are not finite after epoch 1, step 1"):
        train(one_step, tmp_path / "c")
    assert not (tmp_path / "c" / "training_state.pt").exists()


class ComplexZeros(nn.Module):
    """A network all of whose parameters are complex."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10, 64, dtype=torch.complex64))

    def forward(self, images: Tensor) -> Tensor:
        return (images.flatten(start_dim=1).to(torch.complex64) @ self.weight.T).real


@pytest.mark.parametrize("penalty", ["none", "norm:eps=0.1,backend=finite-difference"])
def test_a_network_of_complex_parameters_learns(
    tmp_path: Path, config: Make, build_tiny: BuildTiny, penalty: str
) -> None:
    build_tiny(ComplexZeros)
    trained = train(config(update_similarity=True, penalty=penalty), tmp_path / "run")
    assert trained.model.weight.abs().sum() > 0
    similarity = trained.history[0].update_similarity
    assert similarity is not None and -1 <= similarity < 1 + 1e-6


class Losses(SilentProgress):
    """Notes every step's loss."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, float]] = []

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        self.steps.append((epoch, step, latest.loss))


def test_losses_read_in_bunches_give_the_same_metrics(
    tmp_path: Path, config: Make, monkeypatch: pytest.MonkeyPatch, build_tiny: BuildTiny
) -> None:
    often, seldom = Losses(), Losses()
    first = train(config(), tmp_path / "often", progress=often)
    assert [step[:2] for step in often.steps] == [(e, s) for e in (1, 2) for s in (1, 2, 3)]
    read_every_two_steps(monkeypatch)
    second = train(config(), tmp_path / "seldom", progress=seldom)
    # The first step is always read: before it has succeeded, the folder is left alone.
    assert [step[:2] for step in seldom.steps] == [(1, 1), (1, 3), (2, 2), (2, 3)]
    assert [m.loss for m in first.history] == [m.loss for m in second.history]

    build_tiny(lambda: BlowsUp(after=3))
    with pytest.raises(NonFiniteLossError, match="epoch 2, step 1"):
        train(config(), tmp_path / "blows-up")


def read_every_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from steadygrad.training.loop import TrainingLoop

    original = TrainingLoop.__init__

    def patched(self: TrainingLoop, *arguments: Any) -> None:
        original(self, *arguments)
        self.steps_between_reads = 2

    monkeypatch.setattr(TrainingLoop, "__init__", patched)


def test_an_occupied_folder_is_left_alone_unless_told_otherwise(
    tmp_path: Path, config: Make
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty; resume the run in it, ask to overwrite"):
        train(config(epochs=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "pgd.json").write_text("of other weights")
    train(config(epochs=1), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "evaluations").exists()


def test_a_run_is_not_replaced_by_one_of_its_own_network(tmp_path: Path, config: Make) -> None:
    train(config(epochs=1), tmp_path / "a")
    weights = (tmp_path / "a" / "model.safetensors").read_bytes()
    again = config(epochs=1, model=RunModel(path=tmp_path / "a"))
    smooth = config(epochs=1, model=Smooth(model=RunModel(path=tmp_path / "a")))
    for each, out in ((again, tmp_path / "a"), (again, tmp_path), (smooth, tmp_path / "a")):
        with pytest.raises(OutputError, match=r"cannot overwrite .*: the network comes from"):
            train(each, out, overwrite=True)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == weights
    train(again, tmp_path / "b")


def test_weights_and_folders_are_not_replaced_by_a_run_of_their_network(
    tmp_path: Path, config: Make
) -> None:
    run = tmp_path / "a"
    train(config(epochs=1), run)
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    weights = run / "model.safetensors"
    for model in (
        f"torchvision:resnet18,weights={weights}",
        f"smooth:model=torchvision:resnet18,model.weights={weights}",
        f"hf:{run}",
    ):
        with pytest.raises(OutputError, match=r"cannot overwrite .*: the network comes from"):
            train(config(epochs=1, model=model), run, overwrite=True)
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


class WithoutGradient(Zeros):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.detach())


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (Zeros, {"augmentation": ["crop:99"]}),
        (WithoutGradient, {"penalty": "norm:eps=0.1"}),
        (lambda: BlowsUp(after=0), {}),
    ],
    ids=["augmentation", "penalty", "loss"],
)
def test_a_refused_first_step_writes_nothing_and_replaces_nothing(
    tmp_path: Path,
    config: Make,
    build_tiny: BuildTiny,
    network: Callable[[], nn.Module],
    settings: dict[str, Any],
) -> None:
    build_tiny(Zeros)
    train(config(epochs=1), tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    build_tiny(network)
    begun: list[str] = []
    for place in ("run", "fresh/run"):
        with pytest.raises(SteadygradError):
            train(
                config(epochs=1, **settings),
                tmp_path / place,
                overwrite=True,
                on_begin=lambda: begun.append("begun"),
            )
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert after == before and not (tmp_path / "fresh").exists() and not begun


def test_a_network_that_was_given_frozen_is_told_so(
    tmp_path: Path, config: Make, build_tiny: BuildTiny
) -> None:
    build_tiny(lambda: Zeros().requires_grad_(False))
    for tuning in (None, "fine-tune"):
        with pytest.raises(HyperparameterError, match="requires_grad is False for all"):
            train(config(tuning=tuning), tmp_path / "run")


def test_an_impossible_folder_is_one_sentence(tmp_path: Path, config: Make) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        train(config(epochs=1), tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        train(config(epochs=1), tmp_path / "file" / "run")


def test_data_that_cannot_be_loaded_leaves_no_folder_behind(tmp_path: Path, config: Make) -> None:
    with pytest.raises(HyperparameterError, match="validation_size"):
        train(config(validation_size=99_999), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recorded_steps_need_a_cuda_device(tmp_path: Path, config: Make) -> None:
    with pytest.raises(HyperparameterError, match=r"for cuda_graph, got device cpu"):
        train(config(cuda_graph=True, device="cpu"), tmp_path / "run")


def test_an_absent_device_is_named(tmp_path: Path, config: Make) -> None:
    for name in ("abacus", "cuda:99"):
        with pytest.raises(HyperparameterError, match=f"device '{name}' is not available"):
            train(config(device=name), tmp_path / "run")

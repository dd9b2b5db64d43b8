"""A batch computed in parts gives the step of the whole one; bf16 gives nearly that of float32."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from distributed_world import in_processes
from steadygrad.batch_share import BatchShare
from steadygrad.datasets import load_dataset
from steadygrad.distributed import Ranks
from steadygrad.models import ObjectModel
from steadygrad.training import SilentProgress, StepMetrics, TrainingConfig, load_model, train
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.session import TrainingSession

DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "model": "digits-gelu",
    "limit_train": 41,  # the last batch has 9 images, which make fewer parts
    "batch_size": 16,
    "device": "cpu",
    "epochs": 2,
    "optimizer": "sgd:learning_rate=0.05",
}
STEPS: dict[str, dict[str, Any]] = {
    "plain": {"clipping": "norm:0.5"},
    "penalty": {"penalty": "squared-norm:strength=0.05", "update_similarity": True},
    "complex": {"model": "digits-complex", "penalty": "norm:eps=0.05"},
    "fraction": {"penalty": "squared-norm:strength=0.05,fraction=0.17"},
    "finite difference": {"penalty": "squared-norm:strength=0.05,backend=finite-difference"},
    "restarts": {"attack": "pgd:eps=0.3,steps=2,restarts=3"},
    "random targets": {"attack": "pgd:eps=0.1,steps=2,target=random,norm=l2"},
    "mixture": {"attack": "mixture:attack=pgd,attack.eps=0.1,attack.steps=2,fraction=0.3"},
    "mixup": {"mixing": "mixup:0.3", "penalty": "gn:strength=0.1"},
}


def session(**settings: Any) -> TrainingSession:
    chosen = TrainingConfig(**(DEFAULTS | settings))
    data = load_dataset("digits", "train", limit=chosen.limit_train)
    return TrainingSession(chosen, data, torch.device("cpu"))


def stepped(**settings: Any) -> tuple[Tensor, Tensor]:
    """Return the numbers of each step of an epoch in double precision, and the weights after it."""
    with torch.random.fork_rng():
        run = session(**settings)
        run.model.double()
        numbers = []
        for images, labels in run.remaining_batches():
            numbers.append(run.step(images.double(), labels))
            run.steps_done += 1
    return torch.stack(numbers), flat(run.model)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("name", STEPS)
def test_a_batch_in_parts_gives_the_step_of_the_whole_batch(name: str) -> None:
    numbers, weights = stepped(**STEPS[name])
    in_parts, found = stepped(**STEPS[name], accumulate=3)
    # A finite difference divides the rounding by its step.
    tolerance = 1e-6 if "finite" in name else 1e-11
    torch.testing.assert_close(found, weights, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(in_parts, numbers, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_parts_cover_the_batch_and_have_two_images_at_least() -> None:
    whole = torch.arange(11)
    for rank in (0, 1):
        share = BatchShare(Ranks(rank, 2), 11)
        parts = share.parts(4)
        assert len(parts) == 2
        rows = torch.cat([part.own(whole) for part in parts])
        assert rows.sort().values.equal(share.own(whole))
        assert sum(part.weight for part in parts) == pytest.approx(share.weight)
    assert [part.size for part in BatchShare(Ranks(0, 1), 7).parts(9)] == [3, 2, 2]
    assert BatchShare(Ranks(0, 1), 1).parts(3) == [BatchShare(Ranks(0, 1), 1)]


@pytest.mark.parametrize("limit", [33, 34, 68])
def test_no_part_has_a_single_penalised_image_before_a_batch_norm(limit: int) -> None:
    torch.manual_seed(0)
    normalised = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    numbers, _ = stepped(
        model=ObjectModel.of(normalised),
        limit_train=limit,
        batch_size=16,
        accumulate=16,
        penalty="norm:eps=0.1,fraction=0.5",
    )
    assert numbers[:, :4].isfinite().all()
    share = BatchShare(Ranks(0, 1), 16)
    assert [part.first(8).size for part in share.parts(16, 8)] == [2] * 4


def test_the_network_meets_parts_alone() -> None:
    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.sizes = nn.Linear(64, 10), list[int]()

        def forward(self, x: Tensor) -> Tensor:
            self.sizes.append(len(x))
            logits: Tensor = self.body(x.flatten(1))
            return logits

    run = session(model=ObjectModel.of(Seen()), accumulate=4)
    for images, labels in run.remaining_batches():
        run.step(images, labels)
    untyped: Any = run.model
    assert untyped.sizes[-12:] == [4, 4, 4, 4, 4, 4, 4, 4, 3, 2, 2, 2]


def test_gradients_that_an_attack_leaves_behind_count_for_nothing() -> None:
    def leaving(model: nn.Module, images: Tensor, labels: Tensor, **_: Any) -> Tensor:
        cross_entropy(model(images), labels).backward()
        return images

    found = []
    for attack in (None, leaving):
        run = session(accumulate=2)
        run.objective.attack = attack
        for images, labels in run.remaining_batches():
            run.step(images, labels)
        found.append(flat(run.model))
    assert torch.equal(*found)


def two_ranks(_: int) -> list[Tensor]:
    settings = {"penalty": "squared-norm:strength=0.05", "attack": "pgd:eps=0.3,steps=2,restarts=2"}
    weights = stepped(**settings, accumulate=2)[1]
    rounded = session(**settings, precision="bf16", accumulate=2)
    for images, labels in rounded.remaining_batches():
        rounded.step(images, labels)
    return [weights, flat(rounded.model)]


def test_two_processes_in_parts_end_where_one_ends() -> None:
    first, second = in_processes(two_ranks)
    expected, rounded = two_ranks(0)
    torch.testing.assert_close(first[0], expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(first[0], second[0])
    torch.testing.assert_close(first[1], rounded, rtol=0, atol=0.02)
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("name", ["penalty", "complex", "finite difference", "restarts", "mixup"])
def test_bf16_moves_every_weight_almost_as_float32_does(name: str) -> None:
    moved = []
    for precision in ("float32", "bf16"):
        run = session(**STEPS[name], precision=precision)
        before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
        (images, labels), *_ = run.remaining_batches()
        numbers = run.step(images, labels)
        assert numbers.isfinite()[:4].all()
        steps = {n: p.detach() - before[n] for n, p in run.model.named_parameters()}
        assert all(p.dtype == torch.float32 for p in run.model.parameters())
        assert all(bool(step.abs().max() > 0) for step in steps.values())
        moved.append(torch.cat([step.flatten() for step in steps.values()]))
    assert not torch.equal(*moved)
    assert cosine_similarity(*moved, dim=0) > 0.9


class StopAt(SilentProgress):
    """Interrupts this process after a step of the second epoch."""

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        if (epoch, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_goes_on_in_parts_and_precision_to_the_bit(tmp_path: Path) -> None:
    settings = DEFAULTS | STEPS["restarts"] | {"accumulate": 2, "precision": "bf16"}
    config = TrainingConfig(**settings)
    assert TrainingConfig.from_dict(config.to_dict()) == config
    stopped = partial(train, config, tmp_path / "stopped")
    assert not stopped(progress=StopAt()).is_finished
    assert stopped(resume=True).is_finished
    train(config, tmp_path / "whole")
    found, expected = (
        flat(load_model(RunFolder(tmp_path / name).model)[0]) for name in ("stopped", "whole")
    )
    assert torch.equal(found, expected)

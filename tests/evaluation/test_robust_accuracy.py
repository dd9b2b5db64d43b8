"""Accuracy under attack, batch by batch."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import RobustAccuracy, accuracy_curve

Data = tuple[Tensor, Tensor]


def test_one_batch_of_one_attack_is_the_accuracy_under_it(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out[0][:60], held_out[1][:60]
    metric = RobustAccuracy(trained, FGSM(eps=0.1))
    metric.update(images, labels)
    expected = accuracy_curve(trained, images, labels, FGSM(eps=0), (0.1,)).points[0]
    assert metric.compute().item() == expected.accuracy
    assert metric.point(0.1) == expected


def test_batches_add_up_and_a_second_attack_only_takes_away(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out[0][:60], held_out[1][:60]
    both = RobustAccuracy(trained, [FGSM(eps=0.1), PGD(eps=0.1)])
    shares = [both(*batch) for batch in zip(images.split(25), labels.split(25), strict=True)]
    total = sum(share.item() * size for share, size in zip(shares, (25, 25, 10), strict=True))
    assert both.compute().item() == pytest.approx(total / 60)
    single = RobustAccuracy(trained, FGSM(eps=0.1))
    single.update(images, labels)
    assert both.compute() < single.compute()
    both.reset()
    assert both.compute().isnan() and both.total == 0


def test_modes_stay_and_no_attack_is_refused(trained: nn.Module, held_out: Data) -> None:
    model = nn.Sequential(nn.Dropout(0.5), trained)
    RobustAccuracy(model, PGD(eps=0.1)).update(held_out[0][:5], held_out[1][:5])
    assert model[0].training
    trained.eval()
    with pytest.raises(HyperparameterError, match="at least one attack"):
        RobustAccuracy(model, [])


class Watcher:
    """An attack that leaves the images, and notes its draws and whether the model trains."""

    def __init__(self) -> None:
        self.draws: list[float] = []
        self.modes: list[bool] = []

    def __call__(
        self,
        model: Any,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        self.draws.append(torch.rand(1, generator=generator).item())
        self.modes.append(model.training)
        return images


def watched(model: nn.Module, data: Data, seed: int) -> tuple[RobustAccuracy, Watcher]:
    watcher = Watcher()
    metric = RobustAccuracy(model, [watcher, watcher], seed=seed)
    for batch in zip(data[0][:40].split(20), data[1][:40].split(20), strict=True):
        metric.update(*batch)
    return metric, watcher


def test_draws_follow_from_seed_batch_and_attack(trained: nn.Module, held_out: Data) -> None:
    metric, watcher = watched(trained, held_out, seed=0)
    assert len(set(watcher.draws)) == 4  # two batches, two attacks
    assert watched(trained, held_out, seed=0)[1].draws == watcher.draws
    assert not set(watched(trained, held_out, seed=1)[1].draws) & set(watcher.draws)
    metric.reset()
    metric.update(held_out[0][:20], held_out[1][:20])
    assert watcher.draws[4:] == watcher.draws[:2]


def test_attacks_meet_the_model_in_eval_mode(trained: nn.Module, held_out: Data) -> None:
    model = nn.Sequential(trained).train()
    assert not any(watched(model, held_out, seed=0)[1].modes)
    assert model.training
    trained.eval()

"""Eval mode for a while, then exactly as before."""

from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.attacks import PGD
from steadygrad.evaluation import accuracy_curve
from steadygrad.evaluation_mode import evaluation_mode


class Mixed(nn.Module):
    """A network with a frozen batch norm, whose own ``train`` refuses to wake it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.head = nn.Linear(72, 3)
        self.train()
        self.body[1].eval()
        self.head.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(images).flatten(1))
        return logits


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_each_submodule_gets_its_own_mode_back() -> None:
    model = Mixed()
    before = modes(model)
    assert len(set(before)) == 2
    with evaluation_mode(model):
        assert not any(modes(model))
    assert modes(model) == before


def test_also_after_an_error() -> None:
    model = Mixed()
    before = modes(model)
    with pytest.raises(KeyError), evaluation_mode(model):
        raise KeyError
    assert modes(model) == before


@pytest.mark.parametrize("wrap", [lambda model: model.forward, lambda model: lambda x: model(x)])
def test_the_network_of_a_function_or_a_method_is_switched_too(wrap: Any) -> None:
    model = Mixed()
    before = modes(model)
    with evaluation_mode(wrap(model)):
        assert not any(modes(model))
    assert modes(model) == before


def test_a_networks_own_eval_is_called() -> None:
    class Merging(nn.Linear):
        is_merged = False

        def train(self, mode: bool = True) -> "Merging":
            self.is_merged = not mode
            return super().train(mode)

    model = nn.Sequential(Merging(2, 2))
    with evaluation_mode(lambda x: model(x)):
        assert model[0].is_merged


def test_callables_without_a_network_pass_through() -> None:
    with evaluation_mode(lambda images: images):
        pass


def test_a_curve_is_measured_in_eval_mode_and_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = Mixed()
    before, statistics = modes(model), model.body[1].running_mean.clone()
    seen: list[list[bool]] = []
    model.head.register_forward_hook(lambda *_: seen.append(modes(model)))
    images = torch.rand(6, 1, 8, 8)

    accuracy_curve(model, images, torch.zeros(6).long(), PGD(eps=0, steps=2), [0.0, 0.1])

    assert modes(model) == before
    assert seen and not any(any(flags) for flags in seen)
    assert torch.equal(model.body[1].running_mean, statistics)
    assert all(parameter.grad is None for parameter in model.parameters())

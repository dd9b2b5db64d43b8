"""Strengths from the gradients of a network."""

from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.penalties import L2, SquaredNormPenalty, suggest_strength
from structured_setting import IMAGES, LABELS, smooth, training_network

BATCHES = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])]


@pytest.mark.parametrize("norm", ["l1", L2()])
@pytest.mark.parametrize("target", [0.1, 1.0])
def test_the_penalty_is_the_asked_multiple_of_the_data_loss(norm: Any, target: float) -> None:
    model = smooth()
    found = suggest_strength(model, BATCHES, norm=norm, target=target)
    result = SquaredNormPenalty(strength=found.strength, norm=norm)(model, IMAGES, LABELS)
    torch.testing.assert_close(result.penalty, target * result.data_loss)
    assert (found.images, found.ramp_steps) == (6, 2)
    assert f"strength {found.strength:.3g}" in str(found)


def test_the_model_is_left_as_it_was() -> None:
    model = training_network()
    before = [buffer.clone() for buffer in model.buffers()]
    suggest_strength(model, iter(BATCHES))
    assert all(map(torch.equal, model.buffers(), before))
    assert all(module.training for module in model.modules())


def test_a_trained_network_is_not_given_a_strength_near_nothing() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 4)).double()
    with torch.no_grad():
        model[1].weight.mul_(0.1)
        model[1].bias.copy_(torch.tensor([20.0, 0, 0, 0]))
    found = suggest_strength(model, [(IMAGES, torch.zeros(6, dtype=torch.int64))])
    assert found.strength * found.mean_square == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"target": 0.0}, HyperparameterError),
        ({"max_batches": 0}, HyperparameterError),
        ({"batches": []}, HyperparameterError),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        suggest_strength(smooth(), **({"batches": BATCHES} | arguments))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(24, 4)).double()
    nn.init.zeros_(flat[1].weight)
    with pytest.raises(ModelError, match="not 0"):
        suggest_strength(flat, BATCHES)

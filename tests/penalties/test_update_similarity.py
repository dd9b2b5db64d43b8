"""Parameter-update similarity, Eq. (11) of Yeats et al. (2021)."""

import math

import pytest
import torch
from torch import nn

from steadygrad.models import build_model
from steadygrad.penalties import SquaredNormPenalty, parameter_update_similarity


def test_hand_computed_angle() -> None:
    a, b = (torch.tensor(2.0, requires_grad=True) for _ in range(2))
    data_loss = 3 * a
    loss = 3 * a + 4 * b
    similarity = parameter_update_similarity(loss, data_loss, [a, b])
    assert similarity.item() == pytest.approx(3 / 5)
    loss.backward()  # both graphs are kept
    assert b.grad == 4


def test_no_penalty_changes_nothing_and_a_penalty_turns_the_update() -> None:
    torch.manual_seed(0)
    model = build_model("digits-complex")
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    similarities = []
    for strength in (0.0, 0.1, 10.0):
        result = SquaredNormPenalty(strength=strength)(model, images, labels)
        similarities.append(
            parameter_update_similarity(result.loss, result.data_loss, model.parameters()).item()
        )
    assert similarities[0] == pytest.approx(1)
    assert similarities[0] > similarities[1] > similarities[2]


def test_frozen_parameters_and_unreached_ones_do_not_disturb() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    unused = nn.Parameter(torch.ones(3))
    loss = model(torch.ones(1, 3)).square().sum()
    similarity = parameter_update_similarity(loss, loss, [*model.parameters(), unused])
    assert similarity.item() == pytest.approx(1)


def test_the_angle_of_a_complex_parameter_is_that_of_its_two_parts() -> None:
    weight = torch.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    other = torch.tensor([2.0], requires_grad=True)
    data_loss = weight.real.sum() + other.sum()
    loss = data_loss + 2 * weight.imag.sum()
    # Gradients (1, 0), (1, 0) and 1, with a penalty (1, 2), (1, 2) and 1.
    similarity = parameter_update_similarity(loss, data_loss, [weight, other])
    assert similarity.item() == pytest.approx(3 / math.sqrt(3 * 11))

"""A penalty at standardised images is that of the network behind the standardisation."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import HyperparameterError
from steadygrad.layers import PerImageStandardization
from steadygrad.penalties import PENALTIES, FiniteDifference, GradientNormPenalty, Standardized

SHAPE = (1, 6, 6)
CONTRAST = torch.tensor([0.2, 0.5, 1.0, 0.8]).view(-1, 1, 1, 1)
IMAGES = CONTRAST * torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
IMAGES = IMAGES.double()
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.fixture
def tail() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def gradients_behind(tail: nn.Module) -> Tensor:
    """Return the loss gradient at the standardised images, but for what none of them can do."""
    z = PerImageStandardization()(IMAGES).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(tail(z), LABELS, reduction="sum"), z)
    flat, along = gradient.flatten(1), z.detach().flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat - (flat * along).mean(dim=1, keepdim=True) * along


def test_it_is_the_penalty_behind_the_standardisation(tail: nn.Sequential) -> None:
    model = nn.Sequential(PerImageStandardization(), *tail)
    penalty = Standardized(penalty=GradientNormPenalty(strength=5.0))
    result = penalty(model, IMAGES, LABELS)
    expected = 5 * gradients_behind(tail).square().sum(dim=1).mean()
    torch.testing.assert_close(result.penalty, expected)
    torch.testing.assert_close(result.data_loss, cross_entropy(model(IMAGES), LABELS))


def test_contrast_changes_nothing(tail: nn.Sequential) -> None:
    model = nn.Sequential(PerImageStandardization(), *tail)
    penalty = Standardized(penalty="gn:strength=1")
    faint = penalty(model, IMAGES / 3, LABELS).penalty
    torch.testing.assert_close(faint, penalty(model, IMAGES, LABELS).penalty)
    plain = GradientNormPenalty(strength=1.0)
    at_pixels = plain(model, IMAGES / 3, LABELS).penalty
    torch.testing.assert_close(at_pixels, 9 * plain(model, IMAGES, LABELS).penalty)


def test_its_parameter_gradient_is_that_of_the_multiplied_penalty(tail: nn.Sequential) -> None:
    model = nn.Sequential(PerImageStandardization(), *tail)
    parameters = list(model.parameters())
    result = Standardized(penalty=GradientNormPenalty(strength=2.0))(model, IMAGES, LABELS)
    found = torch.autograd.grad(result.penalty, parameters, materialize_grads=True)

    images = IMAGES.clone().requires_grad_()
    losses = cross_entropy(model(images), LABELS, reduction="sum")
    (gradient,) = torch.autograd.grad(losses, images, create_graph=True)
    spread = IMAGES.flatten(1).std(dim=1, correction=0)
    energy = (spread.square() * gradient.flatten(1).square().sum(dim=1)).mean()
    expected = torch.autograd.grad(2 * energy, parameters, materialize_grads=True)
    torch.testing.assert_close(found, expected)


def test_a_running_covariance_within_learns_and_is_kept(tail: nn.Sequential) -> None:
    model = nn.Sequential(PerImageStandardization(), *tail)
    facts = DataFacts(SHAPE)
    part = Standardized(penalty="sgr:strength=1,covariance=dense")
    first: Any = prepared(part, facts)
    first(model, IMAGES, LABELS)
    state = first.state_dict()
    assert state["calls"] == 1
    second: Any = prepared(part, facts)
    second.load_state_dict(state)
    ours, theirs = (p(model, IMAGES, LABELS).penalty for p in (first, second))
    torch.testing.assert_close(ours, theirs)


def test_its_text_form_is_nested() -> None:
    text = "standardized:penalty=gn,penalty.strength=5.0"
    assert PENALTIES.parse(text) == Standardized(penalty=GradientNormPenalty(strength=5.0))


def test_a_finite_difference_is_refused() -> None:
    running = "double-backprop:statistics=running"
    with pytest.raises(HyperparameterError, match=f"statistics=batch of .* got {running}"):
        Standardized(penalty=GradientNormPenalty(strength=1.0, backend=running))
    inner = GradientNormPenalty(strength=1.0, backend=FiniteDifference())
    with pytest.raises(HyperparameterError, match="expected backend double-backprop"):
        Standardized(penalty=inner)

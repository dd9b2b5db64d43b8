"""Layers of ours under autocast where they compute in half precision themselves, as on a GPU."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.layers import batch_norm, convolution, gelu, use_fast_layers
from steadygrad.layers.hand_written import applicability
from steadygrad.penalties import SquaredNormPenalty

NODES = {
    "convolution": (convolution._Convolve, convolution._InputGradient),
    "batch norm": (batch_norm._Normalise, batch_norm._InputGradient),
    "GELU": (gelu._Gelu, gelu._GeluBackward),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the hand-written nodes that ran; the CPU computes in halves meanwhile."""
    monkeypatch.setattr(applicability, "DEVICES_OF_HALVES", ("cpu",))
    called: set[str] = set()
    for nodes in NODES.values():
        for node in nodes:
            monkeypatch.setattr(node, "apply", _counted(node, called))
    return called


def _counted(node: Any, called: set[str]) -> Any:
    original, name = node.apply, f"{node.__module__}.{node.__name__}"

    def apply(*given: Any) -> Any:
        called.add(name)
        return original(*given)

    return apply


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(54, 3),
    )


def penalised_gradient(model: nn.Module, *, dtype: torch.dtype | None) -> Tensor:
    """Return the gradient of a penalised step by all parameters, under autocast if asked."""
    generator = torch.Generator().manual_seed(1)
    parameter = next(model.parameters())
    images = torch.rand(8, 3, 8, 8, generator=generator).to(parameter.dtype)
    labels = torch.randint(3, (8,), generator=generator)
    penalty = SquaredNormPenalty(strength=0.1)
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        loss = penalty(model, images, labels).loss
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double()


@pytest.mark.usefixtures("calls")
def test_a_penalised_step_in_bfloat16_is_as_exact_as_pytorchs() -> None:
    exact = penalised_gradient(network().double(), dtype=None)
    theirs = penalised_gradient(network(), dtype=torch.bfloat16)
    model = network()
    assert use_fast_layers(model) == 7
    ours = penalised_gradient(model, dtype=torch.bfloat16)
    error, allowed = ((found - exact).norm() / exact.norm() for found in (ours, theirs))
    assert error < max(1.3 * allowed, 0.01)
    assert allowed < 0.1


def test_a_penalty_within_autocast_takes_the_hand_written_derivatives(calls: set[str]) -> None:
    model = network()
    use_fast_layers(model)
    penalised_gradient(model, dtype=torch.bfloat16)
    expected = {f"{n.__module__}.{n.__name__}" for nodes in NODES.values() for n in nodes}
    assert calls == expected


def test_without_autocast_a_half_model_keeps_pytorchs_batch_norm(calls: set[str]) -> None:
    layer = batch_norm.BatchNorm2d(2).bfloat16()
    images = torch.randn(4, 2, 3, 3).bfloat16().requires_grad_()
    torch.testing.assert_close(layer(images), nn.BatchNorm2d(2).bfloat16()(images))
    assert not calls


def test_third_derivatives_of_halves_are_pytorchs(calls: set[str]) -> None:
    torch.manual_seed(0)
    layer = batch_norm.BatchNorm2d(2)
    images = torch.randn(6, 2, 3, 3, requires_grad=True)

    def third(dtype: torch.dtype) -> Tensor:
        moved = images.to(dtype)
        y = layer(moved).float()
        (first,) = torch.autograd.grad(y.pow(3).sum(), images, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), images, create_graph=True)
        return torch.autograd.grad(second.square().sum(), images)[0]

    expected, found = third(torch.float32), third(torch.bfloat16)
    assert (found - expected).norm() < 0.1 * expected.norm()
    assert calls

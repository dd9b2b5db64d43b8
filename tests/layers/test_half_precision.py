"""Layers of ours under autocast where they compute in half precision themselves, as on a GPU."""

from typing import Any

import pytest
import torch
from device_suite.half_precision import (
    gradient_of_all,
    halves_are_as_exact,
    mixed_network,
    with_pytorchs_layers,
)
from torch import Tensor, nn

from steadygrad.layers import batch_norm, convolution, gelu
from steadygrad.layers.hand_written import applicability

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


def test_a_penalised_step_in_bfloat16_is_as_exact_as_pytorchs(calls: set[str]) -> None:
    errors = halves_are_as_exact(torch.device("cpu"))
    assert calls and errors["ours"] != errors["pytorchs"]
    assert errors["pytorchs"] < 0.1


def test_a_penalty_within_autocast_takes_the_hand_written_derivatives(calls: set[str]) -> None:
    gradient_of_all(mixed_network(), precision=torch.bfloat16)
    expected = {f"{n.__module__}.{n.__name__}" for nodes in NODES.values() for n in nodes}
    assert calls == expected


def test_pytorchs_layers_can_be_kept(calls: set[str]) -> None:
    gradient_of_all(with_pytorchs_layers(mixed_network()), precision=torch.bfloat16)
    assert not calls


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

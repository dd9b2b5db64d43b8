"""GELU is nn.GELU(), with derivatives of its own."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, vmap

from steadygrad.layers import GELU
from steadygrad.layers.hand_written.elementwise import GELU_PIECE


@given(x=st.floats(-30, 30))
def test_value_and_derivatives_are_those_of_the_formula(x: float) -> None:
    at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    below = 0.5 * math.erfc(-x / math.sqrt(2))
    density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    y = GELU()(at)
    assert y.item() == pytest.approx(x * below, abs=1e-14)
    (first,) = torch.autograd.grad(y, at, create_graph=True)
    assert first.item() == pytest.approx(below + x * density, abs=1e-14)
    (second,) = torch.autograd.grad(first, at)
    assert second.item() == pytest.approx(density * (2 - x * x), abs=1e-14)


@pytest.mark.parametrize("size", [3, GELU_PIECE - 1, 2 * GELU_PIECE + 5])
@pytest.mark.parametrize("is_strided", [False, True])
def test_a_penalty_trains_as_with_pytorchs(size: int, is_strided: bool) -> None:
    start = torch.randn(size, 2, dtype=torch.float64)
    found = []
    for layer in (GELU(), nn.GELU()):
        x = start.clone().requires_grad_()
        y = layer((x.t() if is_strided else x) * 1.5).square().sum()
        (gradient,) = torch.autograd.grad(y, x, create_graph=True)
        (gradient.abs().sum() + y).backward()
        found.append((y.detach(), gradient.detach(), x.grad))
    torch.testing.assert_close(found[0], found[1])


def test_three_derivatives() -> None:
    x = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(GELU(), x)
    assert gradgradcheck(GELU(), x)

    def first(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(layer(x).sum(), x, create_graph=True)[0]

    assert gradgradcheck(partial(first, GELU()), x)


def test_other_dtypes_and_transforms_are_pytorchs() -> None:
    layer, x = GELU(), torch.randn(5)
    half = x.bfloat16().requires_grad_()
    assert torch.equal(layer(half), nn.GELU()(half))
    assert layer(torch.zeros(0, requires_grad=True)).shape == (0,)
    torch.testing.assert_close(vmap(grad(layer))(x), vmap(grad(nn.GELU()))(x))
    with forward_ad.dual_level():
        tangents = [
            forward_ad.unpack_dual(each(forward_ad.make_dual(x.requires_grad_(), x))).tangent
            for each in (layer, nn.GELU())
        ]
    torch.testing.assert_close(*tangents)

"""Compiled or not, the layers give the same numbers."""

import shutil
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from steadygrad.layers import ComplexConv2d, fuse_elementwise_work
from steadygrad.layers.elementwise_fusion import is_elementwise_work_fused


@pytest.fixture
def switch() -> Iterator[None]:
    yield
    fuse_elementwise_work(False)


def penalised_gradients(layer: ComplexConv2d, x: Tensor) -> list[Tensor]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    (gradient.square().sum() + y.sum()).backward()
    return [y.detach(), gradient.detach(), *(p.grad.clone() for p in layer.parameters())]


def test_the_switch_is_off_at_first_and_turns_on_and_off(switch: None) -> None:
    assert not is_elementwise_work_fused()
    fuse_elementwise_work()
    assert is_elementwise_work_fused()
    fuse_elementwise_work(False)
    assert not is_elementwise_work_fused()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++)")
@pytest.mark.parametrize("second_order", ["exact", "frozen_phase"])
def test_fused_work_gives_the_same_numbers(second_order: str, switch: None) -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(2, 4, 3, padding=1, sum_groups=2, second_order=second_order)
    layer, x = layer.double(), torch.rand(5, 2, 6, 6, dtype=torch.float64)
    expected = penalised_gradients(layer, x)
    fuse_elementwise_work()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised inside torch.compile
        found = penalised_gradients(layer, x)
    torch.testing.assert_close(found, expected)


def test_a_compiled_network_traces_through_the_layers() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(1, 4, 3, padding=1, sum_groups=2)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(compiled(x), layer(x))

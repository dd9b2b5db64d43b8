"""BatchNorm2d is nn.BatchNorm2d, with a second derivative of its own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.layers import BatchNorm2d


def pair(
    channels: int, has_bias: bool = True, **arguments: float | bool | None
) -> tuple[BatchNorm2d, nn.BatchNorm2d]:
    """Return both layers with the same random parameters, in float64."""
    ours = BatchNorm2d(channels, **arguments).double()
    if ours.affine:
        nn.init.normal_(ours.weight)
        nn.init.normal_(ours.bias)
    theirs = nn.BatchNorm2d(channels, **arguments).double()
    if not has_bias:
        ours.bias = theirs.bias = None  # what bias=False does in newer releases of PyTorch
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def penalised(layer: nn.Module, start: Tensor) -> dict[str, Tensor]:
    """Return what a step with a penalty on the input gradient leaves behind."""
    x = start.clone().requires_grad_()
    y = layer(x)
    loss = (y.square() + y.sin()).sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    (gradient.abs().sum().square() + loss).backward()
    assert x.grad is not None
    found = {"y": y.detach(), "gradient": gradient.detach(), "x": x.grad}
    found |= {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return found | {name: buffer.clone() for name, buffer in layer.named_buffers()}


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4).filter(lambda s: s[0] * s[2] * s[3] > 1),
    momentum=st.sampled_from([0.1, None, 1.0]),
    tracks=st.booleans(),
    affine=st.booleans(),
    has_bias=st.booleans(),
    layout=st.sampled_from(["contiguous", "channels_last", "transposed"]),
    is_training=st.booleans(),
)
def test_a_penalised_step_is_pytorchs(
    shape: tuple[int, ...],
    momentum: float | None,
    tracks: bool,
    affine: bool,
    has_bias: bool,
    layout: str,
    is_training: bool,
) -> None:
    ours, theirs = pair(
        shape[1], has_bias, momentum=momentum, track_running_stats=tracks, affine=affine
    )
    start = torch.randn(shape, dtype=torch.float64)
    if layout == "channels_last":
        start = start.contiguous(memory_format=torch.channels_last)
    elif layout == "transposed":
        start = start.transpose(2, 3)
    for _ in range(2):
        found, expected = (penalised(m.train(is_training), start) for m in (ours, theirs))
        assert found.keys() == expected.keys()
        for name, value in found.items():
            scale = max(1.0, expected[name].abs().max().item())
            torch.testing.assert_close(value / scale, expected[name] / scale, msg=name)


@pytest.mark.parametrize("has_bias", [True, False])
def test_three_derivatives_of_every_input(has_bias: bool) -> None:
    layer, _ = pair(2, has_bias)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    inputs = x, *parameters

    def y(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), x)

    def first(x: Tensor, *parameters: Tensor) -> Tensor:
        loss = y(x, *parameters).square().sum()
        return torch.autograd.grad(loss, x, create_graph=True)[0]

    assert gradcheck(y, inputs)
    assert gradgradcheck(y, inputs)
    assert gradgradcheck(first, inputs, atol=1e-4)


@pytest.mark.parametrize("has_bias", [True, False])
def test_gradients_of_the_weights_have_a_graph_when_asked(has_bias: bool) -> None:
    ours, theirs = pair(3, has_bias)
    start = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    found = []
    for layer in (ours, theirs):
        x = start.clone().requires_grad_()
        loss = layer(x).pow(3).sum()
        gradients = torch.autograd.grad(loss, [x, *layer.parameters()], create_graph=True)
        total = sum((gradient.square().sum() for gradient in gradients), torch.zeros(()).double())
        found.append(torch.autograd.grad(total, [x, *layer.parameters()]))
    torch.testing.assert_close(*found)


def test_a_frozen_weight_and_a_single_value() -> None:
    ours, theirs = pair(3)
    for layer in (ours, theirs):
        layer.weight.requires_grad_(False)
    start = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(penalised(ours, start), penalised(theirs, start))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours(torch.zeros(1, 3, 1, 1, dtype=torch.float64, requires_grad=True))


def test_it_travels_like_pytorchs() -> None:
    ours, _ = pair(2)
    copied = copy.deepcopy(ours)
    assert isinstance(copied, nn.BatchNorm2d)
    assert copied.state_dict().keys() == nn.BatchNorm2d(2).state_dict().keys()
    assert repr(ours) == repr(nn.BatchNorm2d(2))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("tracks", [True, False])
def test_running_statistics_move_as_those_of_pytorch(momentum: float | None, tracks: bool) -> None:
    layers = pair(3, momentum=momentum)
    for layer in layers:
        layer.train().track_running_stats = tracks  # as loops turn it off for a while
    for seed in range(3):
        draws = torch.Generator().manual_seed(seed)
        x = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=draws).requires_grad_()
        for layer in layers:
            layer(x)
    for ours, theirs in zip(*(layer.buffers() for layer in layers), strict=True):
        torch.testing.assert_close(ours, theirs)

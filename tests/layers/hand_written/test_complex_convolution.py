"""The hand-written nodes agree with plain autograd in everything that can be asked of them."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.layers.hand_written import elementwise, packed_convolution
from steadygrad.layers.hand_written.complex_convolution import hand_written_convolution
from steadygrad.layers.hand_written.packed_convolution import (
    ConvolutionSettings,
    composed_convolution,
)

Inputs = tuple[Tensor, ...]
Convolution = Callable[..., Tensor]


def settings_of(**changes: Any) -> ConvolutionSettings:
    chosen: dict[str, Any] = {
        "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "sum_groups": 2,
        "smoothing": 1e-6, "second_order": "exact",
    } | changes  # fmt: skip
    return ConvolutionSettings(**chosen)


def drawn(
    channels: int = 2, *, bias: bool = True, batch: int = 5, size: tuple[int, int] = (5, 4)
) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, channels, *size), (4, channels, 3, 3), (4, channels, 3, 3), (4,), (4,)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    leaves = [tensor.requires_grad_() for tensor in tensors]
    return tuple(leaves if bias else leaves[:3])


def applied(convolution: Convolution, inputs: Inputs, settings: ConvolutionSettings) -> Tensor:
    padded = (*inputs, None, None)[:5]
    return convolution(*padded, settings)


def penalised(
    convolution: Convolution, inputs: Inputs, settings: ConvolutionSettings
) -> list[Tensor | None]:
    """Return y, the input gradient of a curved loss, and a penalised step's gradients."""
    y = applied(convolution, inputs, settings)
    loss = (y.sin() * torch.arange(y.numel(), dtype=y.dtype).view_as(y).cos()).sum()
    (gx,) = torch.autograd.grad(loss, inputs[0], create_graph=True)
    gradients = torch.autograd.grad(loss + gx.abs().sum().square(), inputs, allow_unused=True)
    return [y, gx, *gradients]


SETTINGS = [
    settings_of(),
    settings_of(sum_groups=1),
    settings_of(sum_groups=4, padding=(0, 2)),
    settings_of(stride=(2, 1), padding=(2, 1)),
    settings_of(dilation=(1, 2), padding=(1, 2), smoothing=0.5),
]


@pytest.fixture(params=["kept", "recomputed", "at once"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Chunks of few examples, with z either way, or the whole batch as on a GPU."""
    if request.param == "at once":
        monkeypatch.setattr(elementwise, "DEVICES_IN_PIECES", ())
    monkeypatch.setattr(packed_convolution, "CHUNK_ELEMENTS", 2 * 4 * 5 * 4)
    bound = 0 if request.param == "kept" else 10_000
    monkeypatch.setattr(packed_convolution, "RECOMPUTE_BELOW", bound)
    return str(request.param)


@pytest.mark.parametrize("second_order", ["exact", "frozen_phase"])
@pytest.mark.parametrize(("settings", "channels"), list(product(SETTINGS, (1, 4))))
def test_a_penalised_step_agrees_with_plain_autograd(
    settings: ConvolutionSettings, channels: int, second_order: str, memory: str
) -> None:
    settings = ConvolutionSettings(**{**vars(settings), "second_order": second_order})
    for bias in (True, False):
        inputs = drawn(channels, bias=bias)
        expected = penalised(composed_convolution, inputs, settings)
        torch.testing.assert_close(penalised(hand_written_convolution, inputs, settings), expected)


def test_both_derivatives_in_input_and_parameters(memory: str) -> None:
    inputs = drawn(1, batch=3, size=(2, 2))
    settings = settings_of()

    def apply(*inputs: Tensor) -> Tensor:
        return applied(hand_written_convolution, inputs, settings)

    assert gradcheck(apply, inputs)
    assert gradgradcheck(apply, inputs)


def test_the_derivative_of_the_input_gradient_in_everything(memory: str) -> None:
    """The path a penalty takes: only the input's gradient is asked for, then differentiated."""
    inputs = drawn(1, batch=3, size=(3, 2))
    settings = settings_of()

    def input_gradient(*inputs: Tensor) -> Tensor:
        y = applied(hand_written_convolution, inputs, settings).square().sum()
        return torch.autograd.grad(y, inputs[0], create_graph=True)[0]

    assert gradcheck(input_gradient, inputs)


def test_the_penalty_alone_can_be_differentiated(memory: str) -> None:
    inputs = drawn()
    results = []
    for convolution in (hand_written_convolution, composed_convolution):
        y = applied(convolution, inputs, settings_of())
        (gx,) = torch.autograd.grad(y.sum(), inputs[0], create_graph=True)
        results.append(torch.autograd.grad(gx.square().sum(), inputs))
    torch.testing.assert_close(*results)


def test_the_graph_can_be_used_twice(memory: str) -> None:
    inputs = drawn()
    results = []
    for convolution in (hand_written_convolution, composed_convolution):
        y = applied(convolution, inputs, settings_of())
        norms = torch.zeros((), dtype=y.dtype)
        for _ in range(2):
            (gx,) = torch.autograd.grad(y.square().sum(), inputs[0], create_graph=True)
            norms = norms + gx.square().sum()
        first = torch.autograd.grad(norms + y.sum(), inputs, retain_graph=True)
        again = torch.autograd.grad(norms + y.sum(), inputs)
        torch.testing.assert_close(first, again)
        results.append(first)
    torch.testing.assert_close(*results)


def test_a_third_derivative_is_there_too() -> None:
    results = []
    for convolution in (hand_written_convolution, composed_convolution):
        inputs = drawn()
        y = applied(convolution, inputs, settings_of())
        (gx,) = torch.autograd.grad(y.square().sum(), inputs[0], create_graph=True)
        (gw,) = torch.autograd.grad(gx.square().sum(), inputs[1], create_graph=True)
        results.append(torch.autograd.grad(gw.square().sum(), inputs))
    torch.testing.assert_close(*results)


def test_only_what_is_asked_for_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = drawn()
    calls = []
    gradients = packed_convolution.PackedConvolution.parameter_gradients
    monkeypatch.setattr(
        packed_convolution.PackedConvolution,
        "parameter_gradients",
        lambda *arguments: calls.append("weight") or gradients(*arguments),
    )
    y = applied(hand_written_convolution, inputs, settings_of())
    torch.autograd.grad(y.sum(), inputs[0])
    assert calls == []


def test_images_that_no_longer_require_a_gradient_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    input_gradient = packed_convolution.PackedConvolution.input_gradient
    monkeypatch.setattr(
        packed_convolution.PackedConvolution,
        "input_gradient",
        lambda *arguments: calls.append("input") or input_gradient(*arguments),
    )
    images, *parameters = drawn()
    y = applied(hand_written_convolution, (images * 2, *parameters), settings_of())
    images.requires_grad_(False)
    y.sum().backward()
    assert calls == [] and images.grad is None

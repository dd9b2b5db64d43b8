"""Conv2d is nn.Conv2d, with derivatives of its own."""

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, vmap
from torch.nn.functional import conv2d

from steadygrad.layers import Conv2d
from steadygrad.layers.hand_written import sliding_window as sliding_window_module

SHAPES: list[dict[str, Any]] = [
    {"in_channels": 1, "out_channels": 10, "kernel_size": 3, "padding": 1},  # by patches
    {"in_channels": 2, "out_channels": 20, "kernel_size": (3, 2), "stride": (2, 1), "dilation": 2},
    {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "same", "dilation": (1, 2)},
    {"in_channels": 4, "out_channels": 6, "kernel_size": (2, 3), "groups": 2, "padding": (0, 1)},
    {"in_channels": 1, "out_channels": 10, "kernel_size": 3, "padding": "valid", "bias": False},
]


def layer_of(shape: dict[str, Any], kind: type[nn.Conv2d] = Conv2d) -> nn.Conv2d:
    torch.manual_seed(0)
    return kind(**shape, dtype=torch.float64)


def penalised(layer: nn.Conv2d, start: Tensor) -> list[Tensor | None]:
    """Return loss, input gradient and the parameters' gradients of a step with a penalty."""
    x = start.clone().requires_grad_()
    loss = layer(x * x).tanh().square().sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    (loss + gradient.abs().sum().square()).backward()
    return [loss.detach(), gradient.detach(), x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("at_once", [1, 10**9])
def test_a_penalty_trains_as_with_pytorchs(
    shape: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliding_window_module, "PATCH_VALUES", at_once)
    x = torch.randn(3, shape["in_channels"], 7, 6, dtype=torch.float64)
    found = [penalised(layer_of(shape, kind), x) for kind in (Conv2d, nn.Conv2d)]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_three_derivatives(shape: dict[str, Any]) -> None:
    layer = layer_of(shape)
    parameters = tuple(layer.parameters())
    x = torch.randn(2, shape["in_channels"], 5, 6, dtype=torch.float64, requires_grad=True)

    def value(x: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(("weight", "bias"), parameters, strict=False))
        y: Tensor = functional_call(layer, named, x)
        return y.square()

    def input_gradient(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.autograd.grad(value(x, *parameters).sum(), x, create_graph=True)[0]

    assert gradcheck(value, (x, *parameters))
    assert gradgradcheck(value, (x, *parameters))
    assert gradgradcheck(input_gradient, (x, *parameters), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 4),
    channels=st.integers(1, 7),
    outputs=st.integers(1, 70),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    padding=st.integers(1, 2),
    dilation=st.integers(1, 2),
)
def test_the_gradient_of_images_is_the_adjoint(
    batch: int,
    channels: int,
    outputs: int,
    height: int,
    width: int,
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
) -> None:
    """<y, x * W> = <y *' W, x>, whichever way it is computed."""
    extent = [dilation * (k - 1) + 1 for k in kernel]
    x = torch.randn(
        batch, channels, max(height, extent[0]), max(width, extent[1]), dtype=torch.float64
    ).requires_grad_()
    layer = Conv2d(channels, outputs, kernel, stride, padding, dilation, bias=False).double()
    y = layer(x)
    direction = torch.randn_like(y)
    (gx,) = torch.autograd.grad(y, x, direction)
    torch.testing.assert_close((gx * x).sum(), (direction * y).sum())
    expected = conv2d(x, layer.weight, None, stride, padding, dilation)
    torch.testing.assert_close(y, expected)


def test_an_image_does_not_see_the_others() -> None:
    layer = layer_of(SHAPES[0])
    x = torch.randn(5, 1, 8, 6, dtype=torch.float64, requires_grad=True)
    (together,) = torch.autograd.grad(layer(x).square().sum(), x)
    alone = [
        torch.autograd.grad(layer(image[None]).square().sum(), image)[0] for image in x.unbind()
    ]
    torch.testing.assert_close(together, torch.stack(alone))


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    layer = layer_of(SHAPES[0])
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias is not None
    torch.testing.assert_close(layer.bias.grad, torch.full((10,), 50.0, dtype=torch.float64))


def test_a_penalty_on_the_weights_gradient_works() -> None:
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    found = []
    for kind in (Conv2d, nn.Conv2d):
        layer = layer_of(SHAPES[0], kind)
        loss = layer(x).tanh().sum()
        (gradient,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
        gradient.square().sum().backward()
        found.append(layer.weight.grad)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("padding_mode", ["reflect", "circular"])
def test_other_paddings_are_pytorchs(padding_mode: str) -> None:
    shape = {**SHAPES[0], "padding_mode": padding_mode}
    x = torch.randn(3, 1, 7, 6, dtype=torch.float64)
    found = [penalised(layer_of(shape, kind), x) for kind in (Conv2d, nn.Conv2d)]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # one row more
def test_an_even_kernel_of_the_same_size_is_pytorchs() -> None:
    shape = {"in_channels": 1, "out_channels": 2, "kernel_size": 2, "padding": "same"}
    x = torch.randn(3, 1, 7, 6, dtype=torch.float64)
    found = [penalised(layer_of(shape, kind), x) for kind in (Conv2d, nn.Conv2d)]
    torch.testing.assert_close(found[0], found[1])


def test_other_dtypes_and_transforms_are_pytorchs() -> None:
    torch.manual_seed(0)
    ours = Conv2d(1, 12, 3)
    theirs = nn.Conv2d(1, 12, 3)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 1, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
    assert ours(x[0]).shape == (12, 3, 3)
    assert ours(x[:0]).shape == (0, 12, 3, 3)

    def total(layer: nn.Conv2d, one: Tensor) -> Tensor:
        return layer(one[None]).square().sum()

    gradients = [vmap(grad(partial(total, layer)))(x) for layer in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.requires_grad_(), x)
        moved = [forward_ad.unpack_dual(layer(dual)).tangent for layer in (ours, theirs)]
    torch.testing.assert_close(*moved)


def test_errors_are_pytorchs() -> None:
    with pytest.raises(RuntimeError, match="expected input"):
        Conv2d(2, 3, 3)(torch.zeros(1, 1, 5, 5, requires_grad=True))


def test_few_channels_and_many_outputs_in_groups_have_the_gradient_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = Conv2d(2, 20, 3, padding=1, groups=2)  # without groups, this would go by patches
    x = torch.rand(3, 2, 5, 5, requires_grad=True)
    theirs = partial(conv2d, weight=ours.weight, bias=ours.bias, padding=1, groups=2)
    found, expected = (torch.autograd.grad(f(x).square().sum(), x)[0] for f in (ours, theirs))
    torch.testing.assert_close(found, expected)

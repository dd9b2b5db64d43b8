"""The GELU with a second derivative that costs about as much as the first."""

from typing import Any

from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import gelu

from steadygrad.layers.hand_written.applicability import (
    HandWrittenLayer,
    applies,
    dtypes_on,
    forward_of,
)
from steadygrad.layers.hand_written.elementwise import gelu_curvature
from steadygrad.layers.hand_written.gradients import as_precise_as_forwards, pulled_back
from steadygrad.layers.hand_written.torch_internals import gelu_gradient

__all__ = ["GELU"]


class GELU(HandWrittenLayer, nn.GELU):
    """``x Phi(x)``, with the normal distribution's cumulative function Phi: ``nn.GELU()``, exactly.

    Shapes: any; returns that of the input.
    Source: Hendrycks & Gimpel 2016, "Gaussian error linear units".

    What differs is the derivative of the derivative, which a penalty on the input gradient needs.
    PyTorch composes it of some fifteen passes over memory; here
    ``gelu''(x) = phi(x) (2 - x^2)``, phi the normal density, is worked out in pieces that stay in
    the cache. For float32 and float64, and half precision on a GPU, under autocast too; whatever
    else goes to PyTorch.
    """

    _by_pytorch = forward_of(nn.GELU)

    def __init__(self) -> None:
        super().__init__()

    def _by_hand(self, input: Tensor) -> Tensor | None:  # noqa: A002 # as PyTorch calls it
        if not _applies(input) or not input.requires_grad:
            return None
        y: Tensor = _Gelu.apply(input)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return y


def _applies(*tensors: Tensor) -> bool:
    return applies(*tensors, dtypes=dtypes_on(tensors[0].device))


class _Gelu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return gelu(x)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        if not _applies(g, x):
            return pulled_back(gelu, (x,), g, [True])[0]
        return _GeluBackward.apply(g, x)  # type: ignore[no-untyped-call] # torch leaves it untyped


class _GeluBackward(Function):
    """``g gelu'(x)``."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(g, x)
        return gelu_gradient(g, x)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, gg: Tensor) -> Any:
        g, x = ctx.saved_tensors
        if not _applies(gg, g, x):
            return pulled_back(_gradient, (g, x), gg, ctx.needs_input_grad)
        return gelu_gradient(gg, x), gelu_curvature(x, g, gg)


def _gradient(g: Tensor, x: Tensor) -> Tensor:
    gradient = pulled_back(gelu, (x,), g, [True])[0]
    assert gradient is not None
    return gradient

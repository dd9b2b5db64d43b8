"""The GELU with a second derivative that costs about as much as the first."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written import may_be_hand_written

__all__ = ["GELU"]

_CHUNK = 1 << 16  # elements whose temporaries stay in a core's own cache
_DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)


class GELU(nn.GELU):
    """``x Phi(x)``, with the normal distribution's cumulative function Phi: ``nn.GELU()``, exactly.

    Shapes: any; returns that of x.
    Source: Hendrycks & Gimpel 2016, "Gaussian error linear units".

    What differs is the derivative of the derivative, which a penalty on the input gradient needs.
    PyTorch composes it of some fifteen passes over memory; here
    ``gelu''(x) = phi(x) (2 - x^2)``, phi the normal density, is worked out in pieces that stay in
    the cache. For float32 and float64 on the CPU; whatever else goes to PyTorch.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        if may_be_hand_written(x) and x.requires_grad and x.dtype in (torch.float32, torch.float64):
            y: Tensor = _Gelu.apply(x)  # type: ignore[no-untyped-call] # torch leaves it untyped
            return y
        return super().forward(x)


class _Gelu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return nn.functional.gelu(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return _GeluBackward.apply(g, x)  # type: ignore[no-untyped-call] # torch leaves it untyped


class _GeluBackward(Function):
    """``g gelu'(x)``."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(g, x)
        first: Tensor = torch.ops.aten.gelu_backward(g, x)
        return first

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> Any:
        g, x = ctx.saved_tensors
        curvature = _composed_curvature if torch.is_grad_enabled() else _curvature
        return torch.ops.aten.gelu_backward(gg, x), curvature(x, g, gg)


def _composed_curvature(x: Tensor, g: Tensor, gg: Tensor) -> Tensor:
    """Return ``g gg gelu''(x)``, elementwise, for autograd to differentiate further."""
    square = x.square()
    return g * gg * (2 - square) * (square * -0.5).exp() * _DENSITY_AT_ZERO


def _curvature(x: Tensor, g: Tensor, gg: Tensor) -> Tensor:
    """Return the same in pieces, without a graph."""
    x, g, gg = x.contiguous(), g.contiguous(), gg.contiguous()
    result = torch.empty_like(x)
    parts = (torch.split(tensor.view(-1), _CHUNK) for tensor in (x, g, gg, result))
    for x_part, g_part, gg_part, out in zip(*parts, strict=True):
        square = torch.mul(x_part, x_part)
        density = torch.mul(square, -0.5).exp_().mul_(_DENSITY_AT_ZERO)
        torch.mul(g_part, gg_part, out=out).mul_(square.neg_().add_(2)).mul_(density)
    return result

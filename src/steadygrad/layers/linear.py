"""Fully connected layers whose products oneDNN works out.

PyTorch leaves products of float32 matrices to the BLAS that it was built with, which on AMD
processors reaches about half the rate of oneDNN, the library of its convolutions.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written import may_be_hand_written
from steadygrad.layers.wanted_gradients import is_wanted

__all__ = ["Linear", "linear"]

_LEAST_ROWS, _LEAST_WORK = 4, 1 << 20
"""Rows and multiply-adds below which oneDNN's preparations take longer than they save."""


class Linear(nn.Linear):
    """``nn.Linear``, arguments, parameters and results alike.

    Shapes: x ``(..., in_features)``; returns ``(..., out_features)``.

    Products of a million multiply-adds and more go to oneDNN, of float32 on the CPU; whatever else
    goes to PyTorch.
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear(x, weight, bias)``, differentiable as often as that."""
    if not _is_for_onednn(x, weight):
        return nn.functional.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        product: Tensor = _Product.apply(rows, weight)  # type: ignore[no-untyped-call] # torch leaves it untyped
    else:
        product = _in_onednn(rows, weight)
    if bias is not None:
        product = product + bias
    return product.reshape(*x.shape[:-1], len(weight))


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.ndim > 1
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and x.numel() >= _LEAST_ROWS * x.shape[-1]
        and x.numel() * len(weight) >= _LEAST_WORK
        and torch._C._has_mkldnn
        and torch._C._get_mkldnn_enabled()
        and may_be_hand_written(x)
    )


class _Product(Function):
    """``a b'``; both gradients are products of the same kind."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _in_onednn(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        a, b = ctx.saved_tensors
        ga = linear(g, b.t()) if is_wanted(ctx, 0) else None
        gb = linear(g.t(), a.t()) if is_wanted(ctx, 1) else None
        return ga, gb


def _in_onednn(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return product

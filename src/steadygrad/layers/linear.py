"""Fully connected layers whose products oneDNN works out.

PyTorch leaves products of float32 matrices to the BLAS that it was built with, which on AMD
processors reaches about half the rate of oneDNN, the library of its convolutions.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written.applicability import HandWrittenLayer, applies, forward_of
from steadygrad.layers.hand_written.gradients import as_precise_as_forwards, is_wanted
from steadygrad.layers.hand_written.torch_internals import has_onednn_product, onednn_product

__all__ = ["Linear", "linear"]

_LEAST_ROWS, _LEAST_WORK = 4, 1 << 20
"""Rows and multiply-adds below which oneDNN's preparations take longer than they save."""


class Linear(HandWrittenLayer, nn.Linear):
    """``nn.Linear``, arguments, parameters and results alike.

    Shapes: input ``(..., in_features)``; returns ``(..., out_features)``.

    Products of a million multiply-adds and more go to oneDNN, of float32 on the CPU; whatever else
    goes to PyTorch.
    """

    _by_pytorch = forward_of(nn.Linear)

    def _by_hand(self, input: Tensor) -> Tensor | None:  # noqa: A002 # as PyTorch calls it
        return _by_onednn(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear(x, weight, bias)``, differentiable as often as that."""
    product = _by_onednn(x, weight, bias)
    return nn.functional.linear(x, weight, bias) if product is None else product


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """Return the product from oneDNN; None, if it is not for it."""
    if not applies(x, weight, bias) or not _is_for_onednn(x, weight):
        return None
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        product: Tensor = _Product.apply(rows, weight)  # type: ignore[no-untyped-call] # torch leaves it untyped
    else:
        product = onednn_product(rows, weight)
    if bias is not None:
        product = product + bias
    return product.reshape(*x.shape[:-1], len(weight))


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.ndim > 1
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and x.numel() >= _LEAST_ROWS * x.shape[-1]
        and x.numel() * len(weight) >= _LEAST_WORK
        and has_onednn_product()
    )


class _Product(Function):
    """``a b'``; both gradients are products of the same kind, which ask again for themselves."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return onednn_product(a, b)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, g: Tensor) -> Any:
        a, b = ctx.saved_tensors
        ga = linear(g, b.t()) if is_wanted(ctx, 0) else None
        gb = linear(g.t(), a.t()) if is_wanted(ctx, 1) else None
        return ga, gb

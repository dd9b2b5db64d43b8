"""Convolution with a second derivative that costs about as much as the first.

With the convolution * and its adjoint *', which takes a gradient of y to one of x:

    y  = x * W + b
    gx = g *' W      gradient of x, from g, that of y
    ga = a * W       gradient of g, from a, that of gx
    gW               that of a plain convolution of the input a under the output gradient g

PyTorch computes the last one as a convolution of a whose kernel is g, as large as the image.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written.applicability import (
    HandWrittenLayer,
    applies,
    dtypes_on,
    forward_of,
)
from steadygrad.layers.hand_written.gradients import as_precise_as_forwards, is_read, is_wanted
from steadygrad.layers.hand_written.sliding_window import SlidingWindow, same_padding
from steadygrad.layers.hand_written.torch_internals import saved_tensors_are_kept
from steadygrad.memory import keep_freed_memory

__all__ = ["Conv2d"]


class Conv2d(HandWrittenLayer, nn.Conv2d):
    """``nn.Conv2d``, arguments, parameters and results alike.

    Shapes: input ``(N, in_channels, H, W)``; returns ``(N, out_channels, H', W')``.

    What differs is the derivative of the derivative, which a penalty on the input gradient needs,
    and, on the CPU, the gradient of images, of few channels, which attacks need too. For padding
    with zeros, alike on both sides, of float32 and float64 batches, and of half precision under
    autocast on a GPU; whatever else goes to PyTorch.
    """

    _by_pytorch = forward_of(nn.Conv2d)

    def _by_hand(self, input: Tensor) -> Tensor | None:  # noqa: A002 # as PyTorch calls it
        return self._convolved(input, self.weight, self.bias)

    def _by_hand_in(self, dtype: torch.dtype, input: Tensor) -> Tensor | None:  # noqa: A002 # as above
        bias = None if self.bias is None else self.bias.to(dtype)
        return self._convolved(input.to(dtype), self.weight.to(dtype), bias)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        if not applies(x, weight, bias, dtypes=dtypes_on(x.device)):
            return None
        padding = self._padding_of_a_side()
        if padding is None or x.ndim != 4 or not torch.is_grad_enabled():
            return None
        keep_freed_memory()
        window = SlidingWindow(
            stride=_pair(self.stride),
            padding=padding,
            dilation=_pair(self.dilation),
            groups=self.groups,
        )
        y: Tensor = _Convolve.apply(x, weight, bias, window)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return y

    def _padding_of_a_side(self) -> tuple[int, int] | None:
        """Return rows and columns of zeros at each side; None, if it is anything else."""
        if self.padding_mode != "zeros":
            return None
        if not isinstance(self.padding, str):
            return _pair(self.padding)
        if self.padding == "valid":
            return (0, 0)
        return same_padding(self.kernel_size, self.dilation)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = values
    return rows, columns


class _Convolve(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, window: SlidingWindow
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window, ctx.is_x_kept = window, saved_tensors_are_kept()
        return window.convolve(x, weight, bias)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        window: SlidingWindow = ctx.window
        wanted = [is_wanted(ctx, index) for index in range(3)]
        if not applies(g, x, weight, dtypes=dtypes_on(x.device)):
            return *window.gradients(g, x, weight, wanted), None
        if torch.is_grad_enabled():
            if any(wanted[1:]):
                return *window.gradients(g, x, weight, wanted), None
            return _InputGradient.apply(g, weight, x, window), None, None, None  # type: ignore[no-untyped-call] # torch leaves it untyped
        gx = gw = gb = None
        if wanted[0] and is_read(ctx, 0, x):
            gx = window.input_gradient(g, x, weight)
        if any(wanted[1:]):
            _, gw, gb = window.gradients(g, x, weight, (False, *wanted[1:]))
        return gx, gw, gb, None


class _InputGradient(Function):
    """From g and W to gx; of x it takes the shape alone."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, window: SlidingWindow) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.window = window
        return window.input_gradient(g, x, weight)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, a: Tensor) -> Any:
        # Operations of PyTorch alone: there is nothing to ask.
        g, weight = ctx.saved_tensors
        window: SlidingWindow = ctx.window
        ga = gw = None
        if is_wanted(ctx, 0):
            ga = window.convolve(a, weight)
        if is_wanted(ctx, 1):
            _, gw, _ = window.gradients(g, a, weight, (False, True, False))
        return ga, gw, None, None

"""Batch normalisation with a second derivative that costs about as much as the first.

Per channel, over the n values of a batch, with means m(.):

    y  = w s + b                                     s = (x - m(x)) r, r = 1 / sqrt(var(x) + eps)
    gx = w r (g - m(g) - s m(g s))                   gradient of x, from g, that of y
    ga = w r (a - m(a) - s m(a s))                   gradient of g, from a, that of gx
    gw = r n (m(a g) - m(a) m(g) - m(a s) m(g s))    gradient of w
    ax = -w r^2 (s (m(a g) - m(a) m(g) - 3 m(a s) m(g s))
                 + m(g s) (a - m(a)) + m(a s) (g - m(g)))           gradient of x
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written.applicability import (
    DTYPES,
    HandWrittenLayer,
    applies,
    dtypes_on,
    forward_of,
)
from steadygrad.layers.hand_written.elementwise import works_in_pieces
from steadygrad.layers.hand_written.gradients import as_precise_as_forwards, is_wanted, pulled_back
from steadygrad.layers.hand_written.torch_internals import (
    batch_norm,
    batch_norm_gradients,
    has_batch_norm,
)
from steadygrad.layers.joint_batch_norm import joins_processes

__all__ = ["BatchNorm2d"]


class BatchNorm2d(HandWrittenLayer, nn.BatchNorm2d):
    """``nn.BatchNorm2d``, arguments, buffers and results alike.

    Shapes: input ``(N, C, H, W)``; returns the same.
    Source: Ioffe & Szegedy 2015.

    What differs is the derivative of the derivative in training mode, which a penalty on the input
    gradient needs: PyTorch composes it of some twenty passes over memory, here it takes five. For
    affine layers on float32 and float64 images, and, on a GPU, on half precision beside float32
    parameters, as autocast has them; whatever else goes to PyTorch.
    """

    _by_pytorch = forward_of(nn.BatchNorm2d)

    def _by_hand(self, input: Tensor) -> Tensor | None:  # noqa: A002 # as PyTorch calls it
        if not self.training or self.weight is None:
            return None
        if not _apply((input,), (self.weight, self.bias)):
            return None
        if joins_processes():  # then ``joint_batch_norm`` takes PyTorch's place
            return None
        # A single value has no variance: PyTorch says so.
        if input.ndim != 4 or not input.requires_grad or input.numel() <= input.shape[1]:
            return None
        # With other channels or in another dtype, PyTorch finds the words, too.
        if input.shape[1] != self.num_features or not has_batch_norm():
            return None
        buffers: tuple[Tensor | None, Tensor | None] = (None, None)
        factor = 0.0
        if self.track_running_stats:  # it can be turned off for a while, as a penalty does
            buffers = self.running_mean, self.running_var
            factor = self._next_factor()
        y: Tensor = _Normalise.apply(input, self.weight, self.bias, *buffers, factor, self.eps)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return y

    def _next_factor(self) -> float:
        """Count a batch; return how far the running averages move towards its statistics."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                return float(1 / self.num_batches_tracked.item())
        return self.momentum or 0.0


def _apply(images: tuple[Tensor, ...], parameters: tuple[Tensor | None, ...]) -> bool:
    """Return whether the nodes apply: parameters are of the images' dtype, or float32."""
    if not applies(*images, dtypes=dtypes_on(images[0].device)):
        return False
    is_mixed = images[0].dtype not in DTYPES
    return applies(*parameters) if is_mixed else applies(*images, *parameters)


class _Normalise(Function):
    """From x, w and b, which may be None, to y; moves the running averages, if there are any."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        running_mean, running_var, factor, eps = settings
        y, mean, scale = batch_norm(x, weight, bias, running_mean, running_var, factor, eps)
        ctx.save_for_backward(x, weight, bias, mean, scale)
        ctx.eps = eps
        return y

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight, bias, mean, scale = ctx.saved_tensors
        wanted = [is_wanted(ctx, index) for index in range(3)]
        nothing = (None,) * 4
        is_ours = _apply((g, x), (weight, bias))
        if is_ours and not torch.is_grad_enabled():
            return *batch_norm_gradients(g, x, weight, mean, scale, ctx.eps, wanted), *nothing
        if not is_ours or any(wanted[1:]):
            return *pulled_back(_composed(ctx.eps), (x, weight, bias), g, wanted), *nothing
        gx = _InputGradient.apply(g, x, weight, mean, scale, ctx.eps)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return gx, None, None, *nothing


class _InputGradient(Function):
    """From g, x and w to gx; the statistics are x's, and ax takes that into account."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, *arguments: Any) -> Tensor:
        weight, mean, scale, eps = arguments
        gx, sum_gs, sum_g = batch_norm_gradients(g, x, weight, mean, scale, eps, [True] * 3)
        ctx.save_for_backward(g, x, weight, mean, scale, sum_g, sum_gs)
        ctx.eps = eps
        return gx

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, a: Tensor) -> Any:
        g, x, weight, mean, scale, sum_g, sum_gs = ctx.saved_tensors
        if torch.is_grad_enabled() or not _apply((a, g, x), (weight,)):
            wanted = [tensor.requires_grad for tensor in (g, x, weight)]
            gradients = pulled_back(_composed_gradient(ctx.eps), (g, x, weight), a, wanted)
            return *gradients, None, None, None
        ga, sum_as, sum_a = batch_norm_gradients(a, x, weight, mean, scale, ctx.eps, [True] * 3)
        n = x.numel() / x.shape[1]
        m_g, m_gs, m_a, m_as = (total / n for total in (sum_g, sum_gs, sum_a, sum_as))
        covariance = _mean_product(a, g) - m_a * m_g
        gw = scale * n * (covariance - m_as * m_gs)
        ax = None
        if ctx.needs_input_grad[1]:
            of_s = covariance - 3 * m_as * m_gs
            constant = -of_s * scale * mean - m_gs * m_a - m_as * m_g
            parts = (x, of_s * scale), (a, m_gs), (g, m_as)
            ax = _combined(parts, constant, -weight * scale.square())
        return ga, ax, gw, None, None, None


def _examples_at_once(x: Tensor) -> int:
    """Return how many: products as large as the batch leave the cache."""
    return 1 if works_in_pieces(x.device) else len(x)


def _mean_product(a: Tensor, g: Tensor) -> Tensor:
    """Return m(a g), of half precision in float32."""
    total = a.new_zeros(a.shape[1], dtype=a.dtype if a.dtype in DTYPES else torch.float32)
    at_once = _examples_at_once(a)
    for a_some, g_some in zip(a.split(at_once), g.split(at_once), strict=True):  # type: ignore[no-untyped-call] # torch leaves it untyped
        total += (a_some * g_some).sum(dim=(0, 2, 3), dtype=total.dtype)
    return total / (a.numel() / a.shape[1])


def _combined(parts: tuple[tuple[Tensor, Tensor], ...], constant: Tensor, factor: Tensor) -> Tensor:
    """Return ``factor (constant + sum of tensor times coefficient)``."""
    tensors = [tensor for tensor, _ in parts]
    coefficients = [(factor * coefficient)[:, None, None] for _, coefficient in parts]
    start = (factor * constant)[:, None, None]
    # Sums are of the coefficients' precision, and only the last one is rounded to half of it.
    result = torch.empty_like(tensors[0], dtype=start.dtype)
    at_once = _examples_at_once(result)
    pieces = [tensor.split(at_once) for tensor in (result, *tensors)]  # type: ignore[no-untyped-call] # torch leaves it untyped
    for out, *some in zip(*pieces, strict=True):
        torch.addcmul(start, some[0], coefficients[0], out=out)
        for one, coefficient in zip(some[1:], coefficients[1:], strict=True):
            out.addcmul_(one, coefficient)
    return result.to(tensors[0].dtype)


def _composed(eps: float) -> Any:
    """Return y as a function of x, w and b: PyTorch's own has no right third derivative."""

    def normalised(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        exact = x.to(weight.dtype)
        centred = exact - exact.mean(dim=(0, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(0, 2, 3), keepdim=True)
        y = centred * (variance + eps).rsqrt() * weight[:, None, None]
        if bias is not None:
            y = y + bias[:, None, None]
        return y.to(x.dtype)

    return normalised


def _composed_gradient(eps: float) -> Any:
    def input_gradient(g: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        return pulled_back(_composed(eps), (x, weight, None), g, [True, False, False])[0]  # type: ignore[return-value] # it is wanted

    return input_gradient

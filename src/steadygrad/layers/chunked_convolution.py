"""The complex convolution as one autograd node, worked through the batch in cache-sized chunks.

Plain autograd writes some twenty tensors of the size of z to memory in a penalised step; here z and
all that is as large as z exist for a few examples at a time. The names are those of Eq. 5:

    u = exp(ix)         phasors: (N, 2 I, H, W), cosines before sines
    z = W * u + b       (n, 2, G, O / G, H' W'), real before imaginary parts, n examples a chunk
    y = sum_G |z|       magnitudes: (N, O / G, H', W')
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from steadygrad.layers.composed_convolution import composed_convolution
from steadygrad.layers.convolution_settings import ConvolutionSettings
from steadygrad.layers.modulus_derivatives import (
    modulus_curvature,
    modulus_gradient,
    modulus_gradient_pair,
    modulus_motion,
    summed_modulus,
)
from steadygrad.layers.packed_convolution import (
    PackedConvolution,
    phase_gradient,
    phase_motion,
    split_weight_gradient,
)
from steadygrad.layers.pulled_back import Inputs, pulled_back
from steadygrad.layers.wanted_gradients import is_wanted, leads_to_a_wanted_leaf
from steadygrad.memory import keep_freed_memory

__all__ = ["chunked_convolution"]


def chunked_convolution(
    x: Tensor,
    weight_real: Tensor,
    weight_imag: Tensor,
    bias_real: Tensor | None,
    bias_imag: Tensor | None,
    settings: ConvolutionSettings,
) -> Tensor:
    """Return what ``composed_convolution`` returns, for ``settings.groups == 1``.

    Twice differentiable by hand-written nodes; where those do not reach (derivatives of weight
    gradients, third derivatives) they hand over to ``composed_convolution``.
    """
    keep_freed_memory()
    parameters = (weight_real, weight_imag, bias_real, bias_imag)
    y, _ = _Magnitude.apply(x, *parameters, settings)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return y  # type: ignore[no-any-return] # apply is untyped


class _Magnitude(Function):
    """From x and the parameters to y, and to a ``channel`` that carries no value.

    Differentiating the input gradient (``_InputGradient``) gives a gradient for z. Instead of
    writing it to memory, ``_InputGradient`` sends the two tensors from which it follows down the
    channel, as the channel's "gradient", and ``backward`` works it out, chunk by chunk.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        *parameters, settings = arguments
        layer = PackedConvolution.of(x, parameters, settings)
        kept, sums = [], []
        for rows in layer.chunks():
            z = layer.affine(layer.u[rows], with_bias=True)
            sums.append(summed_modulus(z, settings.smoothing))
            if layer.keeps_z:
                kept.append(z)
        y = torch.cat(sums).view(layer.y_shape)
        channel = x.new_empty(()).expand(x.numel() + y.numel())
        ctx.save_for_backward(x, *parameters, channel, layer.u, layer.weight, layer.bias, *kept)
        ctx.settings, ctx.is_channel_taken = settings, False
        ctx.set_materialize_grads(False)
        return y, channel

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, sent: Tensor | None) -> tuple[Tensor | None, ...]:
        x, *parameters, channel = ctx.saved_tensors[:6]
        wanted = [is_wanted(ctx, index) for index in range(5)]
        if not torch.is_grad_enabled():
            wanted[0] = wanted[0] and leads_to_a_wanted_leaf(ctx, 0)
            return *_gradients(_saved_in(ctx), x, g, sent, wanted), None
        if g is None or not any(wanted):
            return (None,) * 6
        if any(wanted[1:]) or ctx.is_channel_taken:
            return *_composed_gradients((x, *parameters), ctx.settings, g, wanted), None
        ctx.is_channel_taken = True
        gx = _InputGradient.apply(g, x, *parameters, channel, ctx)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return gx, None, None, None, None, None


class _InputGradient(Function):
    """From g, the gradient of y, to that of x; ``magnitude`` is the context of the first node."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, *arguments: Any) -> Tensor:
        *parameters, _, magnitude = arguments
        layer = _saved_in(magnitude)
        of_y = g.detach().flatten(2)
        gu = []
        for rows, z in layer.chunks_of_z():
            gz = modulus_gradient(z, of_y[rows], layer.settings.smoothing, in_place=not layer.kept)
            gu.append(layer.input_gradient(gz, layer.u[rows]))
        joined = torch.cat(gu)
        ctx.save_for_backward(g, x, *parameters, joined)
        ctx.magnitude = magnitude
        return phase_gradient(layer.u, joined)

    @staticmethod
    def backward(ctx: Any, a: Tensor) -> tuple[Tensor | None, ...]:
        """Take a, the gradient of the input gradient, to those of g, x and the channel."""
        g, x, *parameters, gu = ctx.saved_tensors
        settings = ctx.magnitude.settings
        if torch.is_grad_enabled():
            return *_composed_second_gradients((g, x, *parameters), settings, a), None, None
        layer = _saved_in(ctx.magnitude)
        au = phase_motion(layer.u, a)
        ag = [
            modulus_motion(z, layer.affine(au[rows]), settings.smoothing)
            for rows, z in layer.chunks_of_z()
        ]
        ax = None
        if settings.second_order == "exact":
            cos, sin = layer.u.chunk(2, dim=1)
            gu_cos, gu_sin = gu.chunk(2, dim=1)
            ax = torch.mul(cos, gu_cos).addcmul_(sin, gu_sin).mul_(a).neg_()
        sent = torch.cat((a.flatten(), g.flatten()))
        return torch.cat(ag).view_as(g), ax, None, None, None, None, sent, None


def _gradients(
    layer: PackedConvolution, x: Tensor, g: Tensor | None, sent: Tensor | None, wanted: list[bool]
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x and the parameters, in one pass over the chunks.

    g: gradient of y. sent: what came down the channel; it adds the derivative of the input
    gradient, of which the weights see their own part and, in exact mode, z's.
    """
    if g is None:
        g = layer.u.new_zeros(layer.y_shape)
    g = g.contiguous()
    if sent is not None:
        a, h = sent[: x.numel()].view_as(x), sent[x.numel() :].view_as(g)
        au = phase_motion(layer.u, a)
    are_parameters_wanted = any(wanted[1:])
    gw = torch.zeros_like(layer.weight)
    gb = gw.new_zeros(len(gw))
    gu = []
    smoothing = layer.settings.smoothing
    for rows, z in layer.chunks_of_z():
        g_rows = g[rows].flatten(2)
        if sent is None:
            gz = modulus_gradient(z, g_rows, smoothing, in_place=not layer.kept)
        else:
            h_rows = h[rows].flatten(2)
            if layer.settings.second_order == "exact":
                first_gz, gz = modulus_curvature(
                    z, layer.affine(au[rows]), h_rows, g_rows, smoothing
                )
            else:
                first_gz, gz = modulus_gradient_pair(z, h_rows, g_rows, smoothing)
            if are_parameters_wanted:
                gw += layer.parameter_gradients(first_gz, au[rows])[0]
        if are_parameters_wanted:
            of_weight, of_bias = layer.parameter_gradients(gz, layer.u[rows])
            gw += of_weight
            gb += of_bias
        if wanted[0]:
            gu.append(layer.input_gradient(gz, layer.u[rows]))
    gx = phase_gradient(layer.u, torch.cat(gu)) if wanted[0] else None
    return (
        gx,
        *split_weight_gradient(gw),
        *(gb.chunk(2) if layer.bias is not None else (None, None)),
    )


def _composed_gradients(
    inputs: Inputs, settings: ConvolutionSettings, g: Tensor, wanted: list[bool]
) -> tuple[Tensor | None, ...]:
    """Return the wanted gradients of (x, parameters), with a graph of their own."""

    def magnitude(*inputs: Tensor | None) -> Tensor:
        return composed_convolution(*inputs, settings)  # type: ignore[arg-type, call-arg] # five of them

    return pulled_back(magnitude, inputs, g, wanted)


def _composed_second_gradients(
    inputs: Inputs, settings: ConvolutionSettings, a: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the gradients of (g, x, parameters) from that of the input gradient, with a graph."""

    def input_gradient(*inputs: Tensor | None) -> Tensor:
        g, *rest = inputs
        gradients = _composed_gradients(tuple(rest), settings, g, [True] + [False] * 4)  # type: ignore[arg-type] # x is never None
        return gradients[0]  # type: ignore[return-value] # it is wanted

    wanted = [tensor is not None and tensor.requires_grad for tensor in inputs]
    return pulled_back(input_gradient, inputs, a, wanted)


def _saved_in(ctx: Any) -> PackedConvolution:
    u, weight, bias, *kept = ctx.saved_tensors[6:]
    return PackedConvolution(ctx.settings, u, weight, bias, tuple(kept))

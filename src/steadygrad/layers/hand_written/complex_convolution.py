"""The complex convolution as one autograd node, on a CPU worked through in cache-sized chunks.

Plain autograd writes some twenty tensors of the size of z to memory in a penalised step; here z and
all that is as large as z exist for a few examples at a time, or once on a GPU. The names are those
of Eq. 5:

    u = exp(ix)         phasors: (N, 2 I, H, W), cosines before sines
    z = W * u + b       (n, 2, G, O / G, H' W'), real before imaginary parts, n examples a chunk
    y = sum_G |z|       magnitudes: (N, O / G, H', W')
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from steadygrad.layers.hand_written.applicability import applies
from steadygrad.layers.hand_written.elementwise import (
    modulus_curvature,
    modulus_gradient,
    modulus_gradient_pair,
    modulus_motion,
    phase_gradient,
    phase_motion,
    summed_modulus,
)
from steadygrad.layers.hand_written.gradients import (
    Inputs,
    as_precise_as_forwards,
    is_read,
    is_wanted,
    pulled_back,
)
from steadygrad.layers.hand_written.packed_convolution import (
    ConvolutionSettings,
    PackedConvolution,
    composed_convolution,
    split_weight_gradient,
)
from steadygrad.layers.hand_written.torch_internals import saved_tensors_are_kept
from steadygrad.memory import keep_freed_memory

__all__ = ["hand_written_convolution"]


def hand_written_convolution(
    x: Tensor,
    weight_real: Tensor,
    weight_imag: Tensor,
    bias_real: Tensor | None,
    bias_imag: Tensor | None,
    settings: ConvolutionSettings,
) -> Tensor:
    """Return what ``composed_convolution`` returns, for ``settings.groups == 1``.

    Twice differentiable by hand-written nodes; where those do not reach (derivatives of weight
    gradients, third derivatives, backward passes to which they do not apply) they hand over to
    ``composed_convolution``.
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
        # Allocated in its final shape: a view could not be followed by an operation in place.
        y = x.new_empty(layer.y_shape)
        torch.cat(sums, out=y.view(len(y), -1, y[0, 0].numel()))
        channel = x.new_empty(()).expand(x.numel() + y.numel())
        ctx.save_for_backward(x, *parameters, channel, layer.u, layer.weight, layer.bias, *kept)
        ctx.settings, ctx.is_channel_taken = settings, False
        ctx.is_x_kept = saved_tensors_are_kept()
        ctx.set_materialize_grads(False)
        return y, channel

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, g: Tensor | None, sent: Tensor | None) -> tuple[Tensor | None, ...]:
        # Unpacked once: checkpointing works everything out again, and gives it away only once.
        x, *parameters, channel, u, weight, bias = (saved := ctx.saved_tensors)[:9]
        inputs = (x, *parameters)
        wanted = [is_wanted(ctx, index) for index in range(5)]
        if not applies(*(tensor for tensor in (x, g, sent) if tensor is not None)):
            return *_composed_in_full(inputs, ctx.settings, g, sent, wanted), None
        layer = PackedConvolution(ctx.settings, u, weight, bias, saved[9:])
        if not torch.is_grad_enabled():
            wanted[0] = wanted[0] and is_read(ctx, 0, x)
            return *_gradients(layer, x, g, sent, wanted), None
        if g is None or not any(wanted):
            return (None,) * 6
        if any(wanted[1:]) or ctx.is_channel_taken:
            return *_composed_gradients(inputs, ctx.settings, g, wanted), None
        ctx.is_channel_taken = True
        gx = _InputGradient.apply(g, *inputs, channel, layer)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return gx, None, None, None, None, None


class _InputGradient(Function):
    """From g, the gradient of y, to that of x, with what the first node has kept."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, *arguments: Any) -> Tensor:
        *parameters, _, layer = arguments
        of_y = g.detach().flatten(2)
        gu = []
        for rows, z in layer.chunks_of_z():
            gz = modulus_gradient(z, of_y[rows], layer.settings.smoothing, in_place=not layer.kept)
            gu.append(layer.input_gradient(gz, layer.u[rows]))
        joined = torch.cat(gu)
        kept = layer.u, layer.weight, layer.bias, *layer.kept
        ctx.save_for_backward(g, x, *parameters, joined, *kept)
        ctx.settings = layer.settings
        return phase_gradient(layer.u, joined)

    @staticmethod
    @as_precise_as_forwards
    def backward(ctx: Any, a: Tensor) -> tuple[Tensor | None, ...]:
        """Take a, the gradient of the input gradient, to those of g, x and the channel."""
        g, x, *parameters, gu, u, weight, bias = (saved := ctx.saved_tensors)[:10]
        settings: ConvolutionSettings = ctx.settings
        if torch.is_grad_enabled() or not applies(a, g, x):
            inputs = (g, x, *parameters)
            return *_composed_second_gradients(inputs, settings, a), None, None
        layer = PackedConvolution(settings, u, weight, bias, saved[10:])
        au = phase_motion(u, a)
        ag = [
            modulus_motion(z, layer.affine(au[rows]), settings.smoothing)
            for rows, z in layer.chunks_of_z()
        ]
        ax = None
        if settings.second_order == "exact":
            cos, sin = u.chunk(2, dim=1)
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


def _composed_in_full(
    inputs: Inputs,
    settings: ConvolutionSettings,
    g: Tensor | None,
    sent: Tensor | None,
    wanted: list[bool],
) -> tuple[Tensor | None, ...]:
    """Return what ``_gradients`` does, from PyTorch's own operations."""
    x, *_ = inputs
    assert x is not None
    found: tuple[Tensor | None, ...] = (None,) * len(inputs)
    if g is not None and any(wanted):
        found = _composed_gradients(inputs, settings, g, wanted)
    if sent is None:
        return found
    a, h = sent[: x.numel()].view_as(x), sent[x.numel() :]
    with torch.no_grad():
        h = h.view_as(composed_convolution(*inputs, settings))  # type: ignore[arg-type, call-arg] # five of them
    more = _composed_second_gradients((h, *inputs), settings, a)[2:]
    return found[0], *(_added(*pair) for pair in zip(found[1:], more, strict=True))


def _added(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


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

"""A complex convolution: its settings, PyTorch's way to compute it, and its packed form.

u = exp(ix)         phasors: (N, 2 I, H, W), cosines before sines
z = W * u + b       (n, 2, G, O / G, H' W'), real parts before imaginary ones

Packed, it is a real convolution on twice the channels, with two linear adjoints.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad.layers.complex_numbers import (
    SecondOrder,
    frozen_cos_sin,
    frozen_modulus,
    modulus,
)
from steadygrad.layers.hand_written.elementwise import works_in_pieces
from steadygrad.layers.hand_written.sliding_window import SlidingWindow

__all__ = [
    "ConvolutionSettings",
    "PackedConvolution",
    "composed_convolution",
    "split_weight_gradient",
]

CHUNK_ELEMENTS = 400_000
"""Elements of z a chunk: few enough for the cache, enough to outweigh the calls (measured)."""

RECOMPUTE_BELOW = 64
"""Multiplications per element of z up to which computing z anew is cheaper than keeping it."""


@dataclass(frozen=True, kw_only=True)
class ConvolutionSettings(SlidingWindow):
    """The settings of one ``ComplexConv2d``, already checked; see there for their meaning."""

    sum_groups: int
    smoothing: float
    second_order: SecondOrder


def composed_convolution(
    x: Tensor,
    weight_real: Tensor,
    weight_imag: Tensor,
    bias_real: Tensor | None,
    bias_imag: Tensor | None,
    settings: ConvolutionSettings,
) -> Tensor:
    """Return ``|W * exp(ix) + b|``, summed over ``settings.sum_groups`` blocks of channels.

    Works wherever PyTorch does: any device, autocast, torch.func, torch.compile, any number of
    derivatives. ``hand_written_convolution`` computes the same, faster.
    """
    frozen = settings.second_order == "frozen_phase"
    # Zeros are padded after the cosine and sine: the complex number 0, not the phase 0.
    cos, sin = frozen_cos_sin(x) if frozen else (x.cos(), x.sin())
    z_real = settings.convolve(cos, weight_real, bias_real) - settings.convolve(sin, weight_imag)
    z_imag = settings.convolve(sin, weight_real, bias_imag) + settings.convolve(cos, weight_imag)
    y = (frozen_modulus if frozen else modulus)(z_real, z_imag, settings.smoothing)
    if settings.sum_groups == 1:
        return y
    batch, channels, height, width = y.shape
    groups = settings.sum_groups
    return y.reshape(batch, groups, channels // groups, height, width).sum(dim=1)


@dataclass(frozen=True)
class PackedConvolution:
    """One call of the layer: its phasors, its packed parameters, and z where it was kept."""

    settings: ConvolutionSettings
    u: Tensor
    weight: Tensor
    bias: Tensor | None
    kept: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls,
        x: Tensor,
        parameters: Sequence[Tensor | None],
        settings: ConvolutionSettings,
    ) -> "PackedConvolution":
        """Take the cosines and sines of x, and pack the parameters."""
        batch, channels, height, width = x.shape
        u = x.new_empty(batch, 2 * channels, height, width)
        torch.cos(x, out=u[:, :channels])
        torch.sin(x, out=u[:, channels:])
        weight_real, weight_imag, bias_real, bias_imag = parameters
        assert weight_real is not None and weight_imag is not None
        weight = torch.cat(
            (
                torch.cat((weight_real, -weight_imag), dim=1),
                torch.cat((weight_imag, weight_real), dim=1),
            )
        )
        bias = None if bias_real is None or bias_imag is None else torch.cat((bias_real, bias_imag))
        return cls(settings, u, weight, bias)

    @property
    def keeps_z(self) -> bool:
        """Whether z is worth its memory; always where it is written as a whole anyway."""
        is_whole = not works_in_pieces(self.u.device)
        return is_whole or self.weight[0].numel() > RECOMPUTE_BELOW

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """Shape of the layer's output."""
        height, width = self.settings.output_size(self.u.shape[2:], self.weight.shape[2:])
        return len(self.u), len(self.weight) // 2 // self.settings.sum_groups, height, width

    def chunks(self) -> Iterator[slice]:
        """Cut the batch into parts of equal size, up to rounding; a GPU takes it as a whole."""
        batch = len(self.u)
        size = batch
        if works_in_pieces(self.u.device):
            elements = 2 * self.settings.sum_groups * math.prod(self.y_shape)
            size = -(-batch // max(1, round(elements / CHUNK_ELEMENTS)))
        for start in range(0, batch, size):
            yield slice(start, start + size)

    def chunks_of_z(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield each part of the batch with its z, kept or computed anew."""
        for index, rows in enumerate(self.chunks()):
            yield rows, self.kept[index] if self.kept else self.affine(self.u[rows], with_bias=True)

    def affine(self, u: Tensor, *, with_bias: bool = False) -> Tensor:
        """Return W * u, and + b, as (n, 2, G, O / G, H' W')."""
        z = self.settings.convolve(u, self.weight, self.bias if with_bias else None)
        groups = self.settings.sum_groups
        return z.contiguous().view(len(u), 2, groups, len(self.weight) // 2 // groups, -1)

    def input_gradient(self, gz: Tensor, u: Tensor) -> Tensor:
        """Return the gradient of u from that of z."""
        return self.settings.input_gradient(self._as_images(gz), u, self.weight)

    def parameter_gradients(self, gz: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the packed weight and bias from that of z."""
        wanted = (False, True, True)
        _, gw, gb = self.settings.gradients(self._as_images(gz), u, self.weight, wanted)
        assert gw is not None and gb is not None
        return gw, gb

    def _as_images(self, gz: Tensor) -> Tensor:
        return gz.view(len(gz), len(self.weight), *self.y_shape[2:])


def split_weight_gradient(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of W's real and imaginary part from that of the packed weight."""
    (real, minus_imag), (imag, real_again) = (
        half.chunk(2, dim=1) for half in packed.chunk(2, dim=0)
    )
    return real + real_again, imag - minus_imag

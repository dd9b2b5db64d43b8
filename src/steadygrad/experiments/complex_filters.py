"""Filters of a complex convolution: how they look, and how smooth and how steep they are."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygrad.errors import ModelError
from steadygrad.layers import ComplexConv2d

__all__ = ["ComplexFilters", "color_key", "first_filters", "rgb_of_hue"]


@dataclass(frozen=True)
class ComplexFilters:
    """Weights ``(n, channels, height, width)`` and biases ``(n,)``, complex128.

    sums: features that are added up are ``sums`` filters apart. Turning a filter's weights and
    bias by one angle leaves ``|W * exp(ix) + b|`` as it is: nothing here depends on that angle.
    """

    weight: Tensor
    bias: Tensor
    sums: int

    @property
    def largest(self) -> float:
        """The greatest magnitude of a weight."""
        return self.weight.abs().max().item()

    @property
    def typical_peak(self) -> float:
        """The median over the filters of a filter's greatest magnitude."""
        return self.weight.abs().flatten(1).amax(dim=1).median().item()

    def colors(self) -> Tensor:
        """Return ``(n, height, width, 3)``: the first channel's weights as RGB in [0, 1].

        Hue: angle against the filter's bias, red for 0; value: magnitude over ``typical_peak``, at
        most 1. Over ``largest``, a single weight would darken all filters but its own.
        """
        turned = self.weight[:, 0] * self.bias.conj()[:, None, None]
        turns = turned.angle() / (2 * math.pi)
        return rgb_of_hue(turns % 1, (self.weight[:, 0].abs() / self.typical_peak).clamp(max=1))

    def neighbour_agreement(self) -> Tensor:
        """Return ``sum Re(conj(u) v) / sum |u| |v|`` over neighbouring weights u, v: (n,).

        Neighbours share a side. The cosine of the angle between them, weighted by magnitude: 1
        where all angles are equal, 0 on average for independent ones.
        """
        products = torch.cat([(u.conj() * v).flatten(1) for u, v in self._neighbours()], dim=1)
        return products.real.sum(dim=1) / products.abs().sum(dim=1)

    def relative_variation(self) -> Tensor:
        """Return ``sum |u - v| / sum (|u| + |v|)`` over neighbouring weights: (n,), in [0, 1]."""
        steps = sum((u - v).abs().flatten(1).sum(dim=1) for u, v in self._neighbours())
        sizes = sum((u.abs() + v.abs()).flatten(1).sum(dim=1) for u, v in self._neighbours())
        assert isinstance(steps, Tensor)
        assert isinstance(sizes, Tensor)
        return steps / sizes

    def relative_slope(self, pixels: Tensor) -> Tensor:
        """Return the L1 norm of each response's gradient, over that of the weights: (n,).

        pixels: patches (m, channels, height, width) in [0, 1], over which the mean is taken. In
        [0, 1]: 0 where the response is flat, and 2 / pi on average where the angles of the
        weights have nothing to do with that of the sum.
        """
        arrows = self.weight * torch.exp(1j * math.pi * pixels.double())[:, None]
        flat = arrows.flatten(2)
        total = flat.sum(dim=2) + self.bias
        across = (total.conj()[..., None] * flat).imag.abs().sum(dim=2)
        return (across / (total.abs() * flat.abs().sum(dim=2))).mean(dim=0)

    def _neighbours(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        w = self.weight
        return (w[..., 1:], w[..., :-1]), (w[..., 1:, :], w[..., :-1, :])


def first_filters(model: nn.Module) -> ComplexFilters:
    """Return the filters of a network's first complex convolution.

    Raises: ModelError, if it has none, or one without bias.
    """
    for module in model.modules():
        if isinstance(module, ComplexConv2d) and module.bias_real is not None:
            pairs = (
                (module.weight_real, module.weight_imag),
                (module.bias_real, module.bias_imag),
            )
            weight, bias = (
                torch.complex(real.detach().cpu().double(), imag.detach().cpu().double())
                for real, imag in pairs
            )
            return ComplexFilters(weight, bias, module.out_channels // module.sum_groups)
    raise ModelError(
        f"expected a network with a complex convolution with bias, got {type(model).__name__}"
    )


def color_key(count: int, height: int, width: int) -> Tensor:
    """Return ``count`` hues, evenly round the turn, from value 1 above to 1 / height below.

    Shape: (count, height, width, 3).
    """
    turns = (torch.arange(count, dtype=torch.float64) / count)[:, None, None]
    values = torch.linspace(1, 1 / height, height, dtype=torch.float64)[None, :, None]
    return rgb_of_hue(*(part.expand(count, height, width) for part in (turns, values)))


def rgb_of_hue(turns: Tensor, value: Tensor) -> Tensor:
    """Return RGB (..., 3) of fully saturated colours; hue in turns from red, in [0, 1)."""
    parts = []
    for offset in (5, 3, 1):  # red, green, blue
        place = (offset + 6 * turns) % 6
        parts.append(value * (1 - torch.minimum(place, 4 - place).clamp(0, 1)))
    return torch.stack(parts, dim=-1)

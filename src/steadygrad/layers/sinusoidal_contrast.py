"""Smooth contrast stretching of the pixel range."""

import math

import torch
from torch import Tensor, nn

__all__ = ["SinusoidalContrast"]


class SinusoidalContrast(nn.Module):
    """Return ``x - sin(2 pi x) / (2 pi)``: pushes mid greys apart, flat at 0, 1/2-symmetric.

    Shapes: x of any shape, pixels in [0, 1]; returns the same shape, again in [0, 1].
    The slope ``1 - cos(2 pi x)`` is 0 at black and white and 2 at mid grey.
    Source: Yeats, Chen & Li, ICML 2021, preprocessing of the CIFAR-10 complex networks.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x - torch.sin(2 * math.pi * x) / (2 * math.pi)

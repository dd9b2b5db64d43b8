"""Complex-valued building blocks, preprocessing inside a model, and what goes between.

``AvgPool2x2``, ``BatchNorm2d``, ``Conv2d``, ``GELU`` and ``Linear`` compute what PyTorch's do, in
less time under a penalty; ``use_fast_layers`` puts them into any network, ``use_torch_layers``
takes them out again. ``hand_written`` holds the derivatives and decides when they apply.
"""

from steadygrad.layers.average_pooling import AvgPool2x2
from steadygrad.layers.batch_norm import BatchNorm2d
from steadygrad.layers.complex_convolution import ComplexConv2d
from steadygrad.layers.complex_linear import ComplexLinear
from steadygrad.layers.complex_numbers import SecondOrder, modulus
from steadygrad.layers.convolution import Conv2d
from steadygrad.layers.fast_layers import use_fast_layers, use_torch_layers
from steadygrad.layers.gelu import GELU
from steadygrad.layers.linear import Linear
from steadygrad.layers.preprocessing import (
    ChannelGroupSum,
    PerImageStandardization,
    PhaseEncoding,
    PixelNormalization,
    SinusoidalContrast,
    image_std,
)

__all__ = [
    "GELU",
    "AvgPool2x2",
    "BatchNorm2d",
    "ChannelGroupSum",
    "ComplexConv2d",
    "ComplexLinear",
    "Conv2d",
    "Linear",
    "PerImageStandardization",
    "PhaseEncoding",
    "PixelNormalization",
    "SecondOrder",
    "SinusoidalContrast",
    "image_std",
    "modulus",
    "use_fast_layers",
    "use_torch_layers",
]

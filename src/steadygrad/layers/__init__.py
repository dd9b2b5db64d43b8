"""Complex-valued building blocks, preprocessing inside a model, and what goes between.

``AvgPool2x2``, ``BatchNorm2d``, ``Conv2d``, ``GELU`` and ``Linear`` compute what PyTorch's do, in
less time under a penalty; ``use_fast_layers`` puts them into any network.
"""

from steadygrad.layers.average_pooling import AvgPool2x2
from steadygrad.layers.batch_norm import BatchNorm2d
from steadygrad.layers.channel_group_sum import ChannelGroupSum
from steadygrad.layers.complex_convolution import ComplexConv2d
from steadygrad.layers.complex_linear import ComplexLinear
from steadygrad.layers.complex_parameters import SecondOrder
from steadygrad.layers.convolution import Conv2d
from steadygrad.layers.elementwise_fusion import fuse_elementwise_work
from steadygrad.layers.fast_layers import use_fast_layers
from steadygrad.layers.gelu import GELU
from steadygrad.layers.linear import Linear
from steadygrad.layers.modulus import modulus
from steadygrad.layers.per_image_standardization import PerImageStandardization
from steadygrad.layers.phase_encoding import PhaseEncoding
from steadygrad.layers.pixel_normalization import PixelNormalization
from steadygrad.layers.sinusoidal_contrast import SinusoidalContrast

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
    "fuse_elementwise_work",
    "modulus",
    "use_fast_layers",
]

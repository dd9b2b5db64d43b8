"""Small networks for scikit-learn's 8x8 digits: seconds to train, the same parts as Table 1's."""

from collections import OrderedDict

from torch import nn

from steadygrad.layers import AvgPool2x2, ComplexLinear
from steadygrad.models.blocks import (
    Activation,
    he_conv2d,
    he_linear,
    real_twins,
    summed_complex_convolutions,
)
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder

__all__ = ["ENTRIES"]

_SOURCE = "steadygrad's demo"


def _complex(shape: ImageShape, classes: int, second_order: SecondOrder) -> nn.Module:
    channels, height, width = shape
    layers = summed_complex_convolutions(
        channels, filters=(16, 32), groups=(2, 2), pools=(True, False), second_order=second_order
    )
    features = 16 * (height // 2) * (width // 2)
    layers["fc1"] = ComplexLinear(features, 64, second_order=second_order)
    layers["fc2"] = ComplexLinear(64, classes, second_order=second_order)
    return nn.Sequential(layers)


def _real(shape: ImageShape, classes: int, activation: Activation, /) -> nn.Module:
    channels, height, width = shape
    pixels = (height // 2) * (width // 2)
    return nn.Sequential(
        OrderedDict(
            conv1=he_conv2d(channels, 32, 3, padding=1),
            act1=activation(),
            pool1=AvgPool2x2(),
            conv2=he_conv2d(32, 32, 3, padding=1),
            act2=activation(),
            flatten=nn.Flatten(),
            fc1=he_linear(32 * pixels, 64),
            act3=activation(),
            fc2=he_linear(64, classes),
        )
    )


ENTRIES: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="digits-complex",
        description="2 complex convolutions with summed features, 2 complex dense layers",
        source=_SOURCE,
        input_shape=(1, 8, 8),
        num_classes=10,
        architecture=_complex,
        is_complex=True,
        smallest=2,
    ),
    *real_twins(
        "digits",
        description="2 convolutions, 2 dense layers",
        source=_SOURCE,
        input_shape=(1, 8, 8),
        architecture=_real,
        smallest=2,
    ),
)

"""The networks of Yeats, Chen & Li (ICML 2021), Table 1, and smooth twins of the real ones."""

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from steadygrad.layers import (
    AvgPool2x2,
    BatchNorm2d,
    ComplexConv2d,
    ComplexLinear,
    PhaseEncoding,
    PixelNormalization,
    SinusoidalContrast,
)
from steadygrad.models.blocks import (
    Activation,
    RealArchitecture,
    he_conv2d,
    he_linear,
    real_twins,
    summed_complex_convolutions,
)
from steadygrad.models.entry import Architecture, ImageShape, ModelEntry, SecondOrder

__all__ = ["ENTRIES"]

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)
_SOURCE = "Yeats, Chen & Li, ICML 2021, Table 1"


def _complex_mnist(shape: ImageShape, classes: int, second_order: SecondOrder) -> nn.Module:
    channels, height, width = shape
    layers = summed_complex_convolutions(
        channels, filters=(16, 32), groups=(2, 2), pools=(True, True), second_order=second_order
    )
    features = 16 * (height // 4) * (width // 4)
    layers["fc1"] = ComplexLinear(features, 128, second_order=second_order)
    layers["fc2"] = ComplexLinear(128, classes, second_order=second_order)
    return nn.Sequential(layers)


def _complex_fashion_mnist(shape: ImageShape, classes: int, second_order: SecondOrder) -> nn.Module:
    channels, height, width = shape
    layers = summed_complex_convolutions(
        channels, filters=(64, 32), groups=(8, 1), pools=(True, True), second_order=second_order
    )
    layers["fc1"] = he_linear(32 * (height // 4) * (width // 4), 64)
    layers["act1"] = nn.ReLU()
    layers["fc2"] = he_linear(64, classes)
    return nn.Sequential(layers)


def _real_mnist(shape: ImageShape, classes: int, activation: Activation) -> nn.Module:
    channels, height, width = shape
    pixels = (height // 4) * (width // 4)
    return nn.Sequential(
        OrderedDict(
            conv1=he_conv2d(channels, 32, 3, padding=1),
            act1=activation(),
            pool1=AvgPool2x2(),
            conv2=he_conv2d(32, 64, 3, padding=1),
            act2=activation(),
            pool2=AvgPool2x2(),
            flatten=nn.Flatten(),
            fc1=he_linear(64 * pixels, 128),
            act3=activation(),
            fc2=he_linear(128, classes),
        )
    )


def _real_mnist_as_released(shape: ImageShape, classes: int, _: SecondOrder) -> nn.Module:
    """Return the real network with weights from N(0, 1 / (2 fan_in)): half as long as He's."""
    network = _real_mnist(shape, classes, nn.ReLU)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)  # biases are 0 already
    return network


def _complex_cifar1(shape: ImageShape, classes: int, second_order: SecondOrder) -> nn.Module:
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        contrast=SinusoidalContrast(), phase=PhaseEncoding()
    )
    for index, outputs in enumerate((32, 64, 128), start=1):
        layers[f"conv{index}"] = ComplexConv2d(
            channels, outputs, 3, padding=1, second_order=second_order
        )
        layers[f"norm{index}"] = BatchNorm2d(outputs)
        layers[f"pool{index}"] = AvgPool2x2()
        channels = outputs
    layers["flatten"] = nn.Flatten()
    pixels = (height // 8) * (width // 8)
    layers["fc1"] = ComplexLinear(channels * pixels, 256, second_order=second_order)
    layers["fc2"] = ComplexLinear(256, classes, second_order=second_order)
    return nn.Sequential(layers)


def _real_cifar(
    shape: ImageShape, classes: int, activation: Activation, /, *, widths: tuple[int, int, int]
) -> nn.Module:
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if channels == 3:
        layers["normalize"] = PixelNormalization(CIFAR10_MEAN, CIFAR10_STD)
    for index, outputs in enumerate(widths, start=1):
        layers[f"conv{index}"] = he_conv2d(channels, outputs, 3, padding=1)
        layers[f"norm{index}"] = BatchNorm2d(outputs)
        layers[f"act{index}"] = activation()
        layers[f"pool{index}"] = AvgPool2x2()
        channels = outputs
    layers["flatten"] = nn.Flatten()
    pixels = (height // 8) * (width // 8)
    layers["fc1"] = he_linear(channels * pixels, 256)
    layers["act4"] = activation()
    layers["fc2"] = he_linear(256, classes)
    return nn.Sequential(layers)


def _complex_entry(
    name: str, description: str, architecture: Architecture, shape: ImageShape, smallest: int
) -> ModelEntry:
    return ModelEntry(
        name=f"yeats2021-{name}-complex",
        description=description,
        source=_SOURCE,
        input_shape=shape,
        num_classes=10,
        architecture=architecture,
        is_complex=True,
        smallest=smallest,
    )


def _real_entries(
    name: str, description: str, architecture: RealArchitecture, shape: ImageShape, smallest: int
) -> tuple[ModelEntry, ModelEntry]:
    return real_twins(
        f"yeats2021-{name}",
        description=description,
        source=_SOURCE,
        input_shape=shape,
        architecture=architecture,
        smallest=smallest,
    )


_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
_REAL_GREY = "2 convolutions, 2 dense layers"
_COMPLEX_GREY = "2 complex convolutions with summed features, 2 complex dense layers"
_COMPLEX_FASHION = "2 complex convolutions with summed features, 2 real dense layers"
_CIFAR = "3 convolutions with batch norm, 2 dense layers"

ENTRIES: tuple[ModelEntry, ...] = (
    _complex_entry("mnist", _COMPLEX_GREY, _complex_mnist, _GREY, 4),
    *_real_entries("mnist", _REAL_GREY, _real_mnist, _GREY, 4),
    ModelEntry(
        name="yeats2021-mnist-real-small-init",
        description=f"{_REAL_GREY}, ReLU, weights half as long, as the paper's code draws them",
        source="the code of Yeats, Chen & Li, ICML 2021",
        input_shape=_GREY,
        num_classes=10,
        architecture=_real_mnist_as_released,
    ),
    _complex_entry("fashion-mnist", _COMPLEX_FASHION, _complex_fashion_mnist, _GREY, 4),
    *_real_entries("fashion-mnist", _REAL_GREY, _real_mnist, _GREY, 4),
    _complex_entry("svhn", _COMPLEX_GREY, _complex_mnist, _GREY, 4),
    *_real_entries("svhn", _REAL_GREY, _real_mnist, _GREY, 4),
    _complex_entry("cifar1", f"complex: {_CIFAR}", _complex_cifar1, _COLOUR, 8),
    *_real_entries("cifar1", _CIFAR, partial(_real_cifar, widths=(32, 64, 128)), _COLOUR, 8),
    *_real_entries("cifar2", _CIFAR, partial(_real_cifar, widths=(64, 128, 256)), _COLOUR, 8),
)

"""What the named networks are built from: complex fronts, initialised layers, smooth twins."""

from collections import OrderedDict
from typing import Protocol, TypeAlias

from torch import nn

from steadygrad.layers import GELU, AvgPool2x2, ComplexConv2d, Conv2d, Linear, PhaseEncoding
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder

__all__ = [
    "Activation",
    "RealArchitecture",
    "he_conv2d",
    "he_linear",
    "real_twins",
    "summed_complex_convolutions",
]

Activation: TypeAlias = type[nn.ReLU] | type[GELU]
"""The non-linearity of a real network: the papers' ReLU or its smooth counterpart."""


def he_conv2d(in_channels: int, out_channels: int, kernel_size: int, *, padding: int = 0) -> Conv2d:
    """Return a convolution with weights from N(0, 2 / fan_in) (He et al. 2015) and zero biases."""
    layer = Conv2d(in_channels, out_channels, kernel_size, padding=padding)
    _initialise(layer)
    return layer


def he_linear(in_features: int, out_features: int) -> Linear:
    """Return a dense layer with weights from N(0, 2 / fan_in) and zero biases."""
    layer = Linear(in_features, out_features)
    _initialise(layer)
    return layer


def _initialise(layer: Conv2d | Linear) -> None:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def summed_complex_convolutions(
    channels: int,
    *,
    filters: tuple[int, ...],
    groups: tuple[int, ...],
    pools: tuple[bool, ...],
    second_order: SecondOrder,
) -> OrderedDict[str, nn.Module]:
    """Return 3x3 complex convolutions behind a phase encoding, as named layers.

    filters: outputs of each convolution; groups: how many of its feature maps are then summed
    into one (1: none); pools: whether 2x2 average pooling follows.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(phase=PhaseEncoding())
    stages = zip(filters, groups, pools, strict=True)
    for index, (outputs, summed, is_pooled) in enumerate(stages, start=1):
        # Summing inside the layer gives what ChannelGroupSum would, without the larger map.
        layers[f"conv{index}"] = ComplexConv2d(
            channels, outputs, 3, padding=1, sum_groups=summed, second_order=second_order
        )
        if is_pooled:
            layers[f"pool{index}"] = AvgPool2x2()
        channels = outputs // summed
    layers["flatten"] = nn.Flatten()
    return layers


class RealArchitecture(Protocol):
    """Builds a real network around the given activation."""

    def __call__(self, shape: ImageShape, classes: int, activation: Activation, /) -> nn.Module: ...


def real_twins(
    prefix: str,
    *,
    description: str,
    source: str,
    input_shape: ImageShape,
    architecture: RealArchitecture,
    smallest: int = 4,
    relu_suffix: str = "real",
) -> tuple[ModelEntry, ModelEntry]:
    """Return the entries ``prefix-real`` (ReLU) and ``prefix-gelu``, equal in all but activation.

    The smooth twin costs the same parameters and MACs, so it tells whether an advantage of the
    complex network comes from its phases or from smoothness alone.
    """

    def entry(suffix: str, activation: Activation) -> ModelEntry:
        # second_order is ignored: both activations have one second derivative, the exact one.
        def build(shape: ImageShape, classes: int, _: SecondOrder) -> nn.Module:
            return architecture(shape, classes, activation)

        return ModelEntry(
            name=f"{prefix}-{suffix}",
            description=f"{description}, {activation.__name__}",
            source=source if activation is nn.ReLU else f"smooth twin of {prefix}-{relu_suffix}",
            input_shape=input_shape,
            num_classes=10,
            architecture=build,
            smallest=smallest,
        )

    return entry(relu_suffix, nn.ReLU), entry("gelu", GELU)

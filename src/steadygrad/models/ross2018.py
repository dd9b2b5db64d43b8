"""The network of Ross & Doshi-Velez (AAAI 2018) as Yeats et al. use it: one body, two arithmetics.

Real and complex differ in the convolutions and the activation behind them only: the same channel
counts, no summed features (Yeats et al. 2021, "Comparisons using Identical Architecture").
"""

from collections import OrderedDict

from torch import nn

from steadygrad.layers import AvgPool2x2, BatchNorm2d, ComplexConv2d, PhaseEncoding
from steadygrad.models.blocks import Activation, he_conv2d, he_linear, real_twins
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder

__all__ = ["ENTRIES"]

WIDTHS = (32, 64)
DENSE_WIDTH = 1024
DROPOUT = 0.5
_SOURCE = "Ross & Doshi-Velez 2018, as in Yeats et al. 2021, Figure 10"
_BODY = "2 convolutions 5x5 and 2 real dense layers, batch norm, dropout"


def _complex(shape: ImageShape, classes: int, second_order: SecondOrder) -> nn.Module:
    channels = shape[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict(phase=PhaseEncoding())
    for index, outputs in enumerate(WIDTHS, start=1):
        layers[f"conv{index}"] = ComplexConv2d(
            channels, outputs, 5, padding=2, second_order=second_order
        )
        layers[f"norm{index}"] = BatchNorm2d(outputs)
        layers[f"pool{index}"] = AvgPool2x2()
        channels = outputs
    # The dense part stays real, with ReLU, in the paper's complex network too.
    return nn.Sequential(layers | _dense_layers(shape, classes, nn.ReLU))


def _real(shape: ImageShape, classes: int, activation: Activation, /) -> nn.Module:
    channels = shape[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, outputs in enumerate(WIDTHS, start=1):
        layers[f"conv{index}"] = he_conv2d(channels, outputs, 5, padding=2)
        layers[f"norm{index}"] = BatchNorm2d(outputs)
        layers[f"act{index}"] = activation()
        layers[f"pool{index}"] = AvgPool2x2()
        channels = outputs
    return nn.Sequential(layers | _dense_layers(shape, classes, activation))


def _dense_layers(
    shape: ImageShape, classes: int, activation: Activation
) -> OrderedDict[str, nn.Module]:
    pixels = (shape[1] // 4) * (shape[2] // 4)
    return OrderedDict(
        flatten=nn.Flatten(),
        fc1=he_linear(WIDTHS[-1] * pixels, DENSE_WIDTH),
        norm3=nn.BatchNorm1d(DENSE_WIDTH),
        act3=activation(),
        dropout=nn.Dropout(DROPOUT),
        fc2=he_linear(DENSE_WIDTH, classes),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="ross2018-complex",
        description=f"complex: {_BODY}",
        source=_SOURCE,
        input_shape=(1, 28, 28),
        num_classes=10,
        architecture=_complex,
        is_complex=True,
    ),
    *real_twins(
        "ross2018",
        description=_BODY,
        source=_SOURCE,
        input_shape=(1, 28, 28),
        architecture=_real,
    ),
)

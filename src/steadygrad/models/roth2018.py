"""The networks of Roth et al. (2018), Table 3, after Carlini & Wagner: ReLU and GELU."""

from collections import OrderedDict
from functools import partial

from torch import nn

from steadygrad.layers import PerImageStandardization
from steadygrad.models.blocks import Activation, he_conv2d, he_linear, real_twins
from steadygrad.models.entry import ImageShape, ModelEntry

__all__ = ["ENTRIES"]


def _carlini_wagner(
    shape: ImageShape, classes: int, activation: Activation, /, *, widths: tuple[int, ...]
) -> nn.Module:
    """Stack two pairs of unpadded 3x3 convolutions, max pooling after each, and three dense layers.

    widths: outputs of the four convolutions and of the two hidden dense layers.
    """
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict(standardize=PerImageStandardization())
    for index, outputs in enumerate(widths[:4], start=1):
        layers[f"conv{index}"] = he_conv2d(channels, outputs, 3)
        layers[f"act{index}"] = activation()
        channels, height, width = outputs, height - 2, width - 2
        if index % 2 == 0:
            layers[f"pool{index // 2}"] = nn.MaxPool2d(2)
            height, width = height // 2, width // 2
    layers["flatten"] = nn.Flatten()
    features = channels * height * width
    for index, outputs in enumerate(widths[4:], start=1):
        layers[f"fc{index}"] = he_linear(features, outputs)
        layers[f"act{index + 4}"] = activation()
        features = outputs
    layers["fc3"] = he_linear(features, classes)
    return nn.Sequential(layers)


def _table3(
    dataset: str, input_shape: ImageShape, widths: tuple[int, ...]
) -> tuple[ModelEntry, ModelEntry]:
    return real_twins(
        f"roth2018-{dataset}",
        description="per-image standardisation, 4 convolutions, 3 dense layers",
        source="Roth et al. 2018, Table 3",
        input_shape=input_shape,
        architecture=partial(_carlini_wagner, widths=widths),
        smallest=16,
        relu_suffix="relu",
    )


ENTRIES: tuple[ModelEntry, ...] = (
    *_table3("mnist", (1, 28, 28), (32, 32, 64, 64, 200, 200)),
    *_table3("cifar10", (3, 32, 32), (64, 64, 128, 128, 256, 256)),
)

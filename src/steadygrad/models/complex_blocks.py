"""The convolutional front of the complex networks: phases in, summed magnitudes out."""

from collections import OrderedDict

from torch import nn

from steadygrad.layers import AvgPool2x2, ComplexConv2d, PhaseEncoding
from steadygrad.models.entry import SecondOrder

__all__ = ["summed_complex_convolutions"]


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

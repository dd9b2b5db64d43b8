"""Real-valued layers with the initialisation that the papers state."""

from typing import TypeAlias

from torch import nn

from steadygrad.layers import GELU, Conv2d, Linear

__all__ = ["Activation", "he_conv2d", "he_linear"]

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

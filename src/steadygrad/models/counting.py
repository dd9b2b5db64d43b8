"""Parameters and multiply-accumulates (MACs) of a network, in real numbers.

A complex parameter counts as two real ones and a complex MAC as four, as in Yeats et al. (2021).
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn

from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.models.entry import ImageShape

__all__ = ["CountedLayer", "layer_macs", "mac_count", "parameter_count"]

CountedLayer: TypeAlias = nn.Conv2d | nn.Linear | ComplexConv2d | ComplexLinear


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable real numbers in the network."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def mac_count(model: nn.Module, input_shape: ImageShape) -> int:
    """Return the real multiply-accumulates of one image's forward pass.

    Convolutions and dense layers count, biases, norms, poolings and activations do not, as in
    the papers. The model's mode is restored; other layers with weights are not counted.
    """
    return sum(macs for _, macs in layer_macs(model, input_shape))


@torch.no_grad()
def layer_macs(model: nn.Module, input_shape: ImageShape) -> list[tuple[CountedLayer, int]]:
    """Return every counted layer, in the order of the forward pass, with its real MACs."""
    counts: list[tuple[CountedLayer, int]] = []

    def record(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, CountedLayer)
        counts.append((layer, _macs(layer, output)))

    handles = [
        layer.register_forward_hook(record)
        for layer in model.modules()
        if isinstance(layer, CountedLayer)
    ]
    modes = {layer: layer.training for layer in model.modules()}
    try:
        first = next(model.parameters())
        model.eval()
        model(torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device))
    finally:
        for layer, training in modes.items():
            layer.training = training
        for handle in handles:
            handle.remove()
    return counts


def _macs(layer: CountedLayer, output: Tensor) -> int:
    if isinstance(layer, ComplexConv2d | ComplexLinear):
        weights, real_per_mac = layer.weight_real.numel(), 4
    else:
        weights, real_per_mac = layer.weight.numel(), 1
    # Every weight is used once per output position of its channel.
    positions = output[0, 0].numel()
    return real_per_mac * weights * positions

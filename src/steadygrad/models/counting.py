"""Parameters and multiply-accumulates (MACs) of a network, truly and as Yeats et al. print them.

A complex parameter counts as two real ones, a complex MAC as four real ones. Table 1's real rows
follow from these rules; its complex rows hold three slips that ``published_*`` reproduces:
every complex layer has one parameter per output too many (a third bias); the MACs of
Fashion-MNIST's dense layers are left out; CIFAR1's complex dense layers count one MAC, not four.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.models.entry import ImageShape

__all__ = [
    "mac_count",
    "parameter_count",
    "published_mac_count",
    "published_parameter_count",
]

_Counted = nn.Conv2d | nn.Linear | ComplexConv2d | ComplexLinear


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable real numbers in the network."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def mac_count(model: nn.Module, input_shape: ImageShape) -> int:
    """Return the real multiply-accumulates of one image's forward pass.

    Convolutions and dense layers count, biases, norms, poolings and activations do not, as in
    the papers. The model's mode is restored; other layers with weights are not counted.
    """
    return sum(real_macs for _, real_macs in _layer_macs(model, input_shape))


def published_parameter_count(model: nn.Module) -> int:
    """Return the parameters as Yeats et al. (2021) print them in Table 1."""
    extra = sum(
        layer.bias_real.numel()
        for layer in model.modules()
        if isinstance(layer, ComplexConv2d | ComplexLinear) and layer.bias_real is not None
    )
    return parameter_count(model) + extra


def published_mac_count(model: nn.Module, input_shape: ImageShape) -> int:
    """Return the MACs as Yeats et al. (2021) print them in Table 1.

    The two slips are tied to what tells their networks apart: dense layers are left out where
    complex convolutions feed real dense layers (Fashion-MNIST), and counted once where the
    complex network has batch norm (CIFAR1).
    """
    macs = list(_layer_macs(model, input_shape))
    has_complex = any(isinstance(layer, ComplexConv2d) for layer, _ in macs)
    has_norm = any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    total = 0
    for layer, real_macs in macs:
        if has_complex and isinstance(layer, nn.Linear):
            continue
        total += real_macs // 4 if has_norm and isinstance(layer, ComplexLinear) else real_macs
    return total


@torch.no_grad()
def _layer_macs(model: nn.Module, input_shape: ImageShape) -> Iterator[tuple[_Counted, int]]:
    counts: list[tuple[_Counted, int]] = []

    def record(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, _Counted)
        counts.append((layer, _macs(layer, output)))

    handles = [
        layer.register_forward_hook(record)
        for layer in model.modules()
        if isinstance(layer, _Counted)
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
    yield from counts


def _macs(layer: _Counted, output: Tensor) -> int:
    if isinstance(layer, ComplexConv2d | ComplexLinear):
        weight, real_per_mac = layer.weight_real, 4
    else:
        weight, real_per_mac = layer.weight, 1
    positions = output[0].numel() // weight.shape[0]
    if isinstance(layer, ComplexConv2d):
        # A layer that sums its channels still computes all of them.
        positions = output[0, 0].numel()
    return real_per_mac * weight.numel() * positions

"""The complex layers as Eq. 5 is first written down: four real maps, the rest plain autograd."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from steadygrad.layers import ChannelGroupSum, ComplexConv2d, ComplexLinear

__all__ = ["naive_copy"]


class _NaiveLayer(nn.Module):
    """|W exp(ix) + b| from four applications of ``real_map``."""

    def __init__(self, layer: ComplexConv2d | ComplexLinear) -> None:
        super().__init__()
        own = {name: nn.Parameter(value.clone()) for name, value in layer.state_dict().items()}
        self.parts = nn.ParameterDict(own)

    def real_map(self, x: Tensor, weight: Tensor) -> Tensor:
        return linear(x, weight)

    def forward(self, x: Tensor) -> Tensor:
        real, imag = self.parts["weight_real"], self.parts["weight_imag"]
        bias_shape = (-1, *[1] * (x.ndim - 2))
        cos, sin = x.cos(), x.sin()
        z_real = self.real_map(cos, real) - self.real_map(sin, imag)
        z_imag = self.real_map(sin, real) + self.real_map(cos, imag)
        z_real = z_real + self.parts["bias_real"].view(bias_shape)
        z_imag = z_imag + self.parts["bias_imag"].view(bias_shape)
        return torch.sqrt(z_real**2 + z_imag**2 + 1e-12)


class _NaiveConv2d(_NaiveLayer):
    def __init__(self, layer: ComplexConv2d) -> None:
        super().__init__(layer)
        self.padding = layer.padding

    def real_map(self, x: Tensor, weight: Tensor) -> Tensor:
        return conv2d(x, weight, padding=self.padding)


def naive_copy(network: nn.Module) -> nn.Sequential:
    """Return the same network, with the same weights, on naive layers."""
    layers: list[nn.Module] = []
    for layer in network.children():
        if isinstance(layer, ComplexConv2d):
            layers.append(_NaiveConv2d(layer))
            if layer.sum_groups > 1:
                layers.append(ChannelGroupSum(layer.sum_groups))
        elif isinstance(layer, ComplexLinear):
            layers.append(_NaiveLayer(layer))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)

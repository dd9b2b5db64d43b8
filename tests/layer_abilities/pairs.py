"""Our layers, each with what it stands for and a shape of input."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from steadygrad.layers import (
    GELU,
    AvgPool2x2,
    BatchNorm2d,
    ComplexConv2d,
    ComplexLinear,
    Conv2d,
    Linear,
)
from steadygrad.layers.complex_numbers import frozen_cos_sin, frozen_modulus, modulus
from steadygrad.layers.hand_written.packed_convolution import composed_convolution


class ComposedConv2d(ComplexConv2d):
    def forward(self, x: Tensor) -> Tensor:
        parameters = self.weight_real, self.weight_imag, self.bias_real, self.bias_imag
        return composed_convolution(x, *parameters, self.settings)


class ComposedLinear(ComplexLinear):
    def forward(self, x: Tensor) -> Tensor:
        frozen = self.second_order == "frozen_phase"
        cos, sin = frozen_cos_sin(x) if frozen else (x.cos(), x.sin())
        linear = nn.functional.linear
        real = linear(cos, self.weight_real, self.bias_real) - linear(sin, self.weight_imag)
        imag = linear(sin, self.weight_real, self.bias_imag) + linear(cos, self.weight_imag)
        return (frozen_modulus if frozen else modulus)(real, imag, self.smoothing)


IMAGES, ROWS = (3, 2, 4, 6), (4, 5)
Pair = tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]
LAYERS: dict[str, Pair] = {
    "Conv2d": (partial(Conv2d, 2, 4, 3), partial(nn.Conv2d, 2, 4, 3), IMAGES),
    "Conv2d by patches": (
        partial(Conv2d, 2, 20, 3, padding=1, bias=False),
        partial(nn.Conv2d, 2, 20, 3, padding=1, bias=False),
        IMAGES,
    ),
    "BatchNorm2d": (partial(BatchNorm2d, 2), partial(nn.BatchNorm2d, 2), IMAGES),
    "GELU": (GELU, nn.GELU, IMAGES),
    "AvgPool2x2": (AvgPool2x2, partial(nn.AvgPool2d, 2), IMAGES),
    "Linear": (partial(Linear, 5, 3), partial(nn.Linear, 5, 3), ROWS),
    "ComplexConv2d exact": (
        partial(ComplexConv2d, 2, 4, 3, sum_groups=2),
        partial(ComposedConv2d, 2, 4, 3, sum_groups=2),
        IMAGES,
    ),
    "ComplexConv2d frozen": (
        partial(ComplexConv2d, 2, 4, 3, second_order="frozen_phase"),
        partial(ComposedConv2d, 2, 4, 3, second_order="frozen_phase"),
        IMAGES,
    ),
    "ComplexLinear": (partial(ComplexLinear, 5, 3), partial(ComposedLinear, 5, 3), ROWS),
}


def pair(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return our layer, the one that it stands for, with the same weights, and an input."""
    make_ours, make_theirs, shape = LAYERS[name]
    torch.manual_seed(0)
    # oneDNN multiplies float32 only; everything else is compared in float64.
    dtype = torch.float32 if "Linear" in name else torch.float64
    ours, theirs = make_ours().to(dtype), make_theirs().to(dtype)
    if isinstance(ours, nn.BatchNorm2d):
        nn.init.normal_(ours.weight)
        nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(shape, dtype=dtype)

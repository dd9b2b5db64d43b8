"""How a complex convolution slides, sums and differentiates: everything but its parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import conv2d

from steadygrad.layers.complex_parameters import SecondOrder

__all__ = ["ConvolutionSettings"]


@dataclass(frozen=True, kw_only=True)
class ConvolutionSettings:
    """The settings of one ``ComplexConv2d``, already checked; see there for their meaning."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    sum_groups: int
    smoothing: float
    second_order: SecondOrder

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the real convolution of x ``(N, C, H, W)`` at these settings."""
        return conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def output_size(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Return the height and width of the output; below 1 where the kernel does not fit."""
        height, width = (
            (size[axis] + 2 * self.padding[axis] - self.dilation[axis] * (kernel[axis] - 1) - 1)
            // self.stride[axis]
            + 1
            for axis in range(2)
        )
        return height, width

"""How a convolution slides over its input, and its two adjoints.

y = x * W      x (N, C, H, W), W (O, C / groups, kH, kW), y (N, O, H', W')
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, fold

from steadygrad.layers.hand_written.torch_internals import convolution_gradients

__all__ = ["SlidingWindow", "same_padding"]

FEW_CHANNELS = 6
"""Input channels up to which patches may make the input gradient faster than oneDNN does..."""

MANY_OUTPUTS = 10
"""...if there are so many outputs for every input channel (measured, on CPUs)."""

PATCH_VALUES = 1 << 18
"""Values of patches at a time: few enough for a core's own cache."""


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, int] | None:
    """Return the zeros at each side that keep the image's size at stride 1; None, if unequal."""
    height, width = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    return None if height % 2 or width % 2 else (height // 2, width // 2)


@dataclass(frozen=True, kw_only=True)
class SlidingWindow:
    """Rows and columns of every step, padding with zeros and dilation; blocks of channels."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def output_size(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Return the height and width of the output; below 1 where the kernel does not fit."""
        height, width = (
            (size[axis] + 2 * self.padding[axis] - self.dilation[axis] * (kernel[axis] - 1) - 1)
            // self.stride[axis]
            + 1
            for axis in range(2)
        )
        return height, width

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return ``x * W + b``."""
        return conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def gradients(
        self, g: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return those of x, W and a bias that are wanted, from g, that of y; else None.

        They are PyTorch's own, and have a graph where autograd records one.
        """
        window = self.stride, self.padding, self.dilation, self.groups
        return convolution_gradients(g, x, weight, *window, wanted)

    @torch.no_grad()
    def input_gradient(self, g: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of x, of which the shape alone counts; without a graph.

        For few channels, as images have, a CPU multiplies W and g at every position, and adds up
        the patches that this gives where they overlap.
        """
        if not self._is_for_patches(x, weight):
            gx = self.gradients(g, x, weight, (True, False, False))[0]
            assert gx is not None
            return gx
        by_position, to_patch = g.flatten(2), weight.flatten(1).t()
        at_once = max(1, PATCH_VALUES // (len(to_patch) * by_position.shape[2]))
        parts = [
            fold(
                torch.bmm(to_patch.expand(len(some), -1, -1), some),
                x.shape[2:],
                weight.shape[2:],
                self.dilation,
                self.padding,
                self.stride,
            )
            for some in torch.split(by_position, at_once)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _is_for_patches(self, x: Tensor, weight: Tensor) -> bool:
        channels = x.shape[1]
        return (
            x.device.type == "cpu"
            and self.groups == 1
            and channels <= FEW_CHANNELS
            and MANY_OUTPUTS * channels <= len(weight)
        )

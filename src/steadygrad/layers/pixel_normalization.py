"""Per-channel shift and scale of pixels, inside the model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["PixelNormalization"]


class PixelNormalization(nn.Module):
    """Return ``(x - mean) / std`` with one mean and one standard deviation a channel.

    Shapes: x ``(N, C, H, W)``, pixels in [0, 1]; returns the same shape.
    mean, std: one number a channel, in pixel units; std > 0.
    Raises: HyperparameterError, if their lengths differ or a std is not positive; ShapeError, if x
        has another number of channels.

    Both are buffers: they travel with the checkpoint and the device, no optimizer touches them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or len(mean) == 0:
            raise HyperparameterError(
                f"expected as many means as standard deviations, got {len(mean)} and {len(std)}"
            )
        if not all(0 < value < float("inf") for value in std):
            raise HyperparameterError(f"expected every std > 0 and finite, got {tuple(std)}")
        self.register_buffer("mean", torch.tensor([float(value) for value in mean]))
        self.register_buffer("std", torch.tensor([float(value) for value in std]))

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise ShapeError(
                f"expected x of shape (N, {len(self.mean)}, H, W), got {tuple(x.shape)}"
            )
        return (x - self.mean[:, None, None]) / self.std[:, None, None]

    def extra_repr(self) -> str:
        mean, std = (
            [round(value, 6) for value in buffer.tolist()] for buffer in (self.mean, self.std)
        )
        return f"mean={mean}, std={std}"

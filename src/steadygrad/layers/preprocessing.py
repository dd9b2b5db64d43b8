"""What a network does to its images first, and the sum of feature maps, as layers of the model."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.layers.hand_written.applicability import as_one_node, is_symbolic

__all__ = [
    "ChannelGroupSum",
    "PerImageStandardization",
    "PhaseEncoding",
    "PixelNormalization",
    "SinusoidalContrast",
    "image_std",
]


class PhaseEncoding(nn.Module):
    """Return ``pi * x``: black is phase 0, white is phase pi, so no two pixel values share a phase.

    Shapes: x of any shape, pixels in [0, 1]; returns radians of the same shape.
    Source: Yeats, Chen & Li, ICML 2021. Only the network's input is encoded: inside the network a
        layer's output, a magnitude, is the next layer's phase in radians as it stands.
    """

    def forward(self, x: Tensor) -> Tensor:
        return math.pi * x


class SinusoidalContrast(nn.Module):
    """Return ``x - sin(2 pi x) / (2 pi)``: pushes mid greys apart, flat at 0, 1/2-symmetric.

    Shapes: x of any shape, pixels in [0, 1]; returns the same shape, again in [0, 1].
    The slope ``1 - cos(2 pi x)`` is 0 at black and white and 2 at mid grey.
    Source: Yeats, Chen & Li, ICML 2021, preprocessing of the CIFAR-10 complex networks.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x - torch.sin(2 * math.pi * x) / (2 * math.pi)


class PixelNormalization(nn.Module):
    """Return ``(x - mean) / std`` with one mean and one standard deviation a channel.

    Shapes: x ``(N, C, H, W)``, pixels in [0, 1]; returns the same shape.
    mean, std: one number a channel, in pixel units; std > 0.
    Raises: HyperparameterError, if their lengths differ, a std is not positive or a number is not
        finite; ShapeError, if x has another number of channels.

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
        if not all(math.isfinite(value) for value in mean):
            raise HyperparameterError(f"expected every mean finite, got {tuple(mean)}")
        self._given = tuple(map(float, mean)), tuple(map(float, std))
        self.register_buffer("mean", torch.empty(len(mean)))
        self.register_buffer("std", torch.empty(len(std)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set both to the numbers that were given, as after ``to_empty`` from the meta device."""
        for buffer, numbers in zip((self.mean, self.std), self._given, strict=True):
            buffer.copy_(torch.tensor(numbers))

    def forward(self, x: Tensor) -> Tensor:
        if is_symbolic(x):
            return as_one_node(self, x)
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise ShapeError(
                f"expected x of shape (N, {len(self.mean)}, H, W), got {tuple(x.shape)}"
            )
        return (x - self.mean[:, None, None]) / self.std[:, None, None]

    def extra_repr(self) -> str:
        held = self._given if self.mean.is_meta else (self.mean.tolist(), self.std.tolist())
        mean, std = ([round(value, 6) for value in values] for values in held)
        return f"mean={mean}, std={std}"


class PerImageStandardization(nn.Module):
    """Return ``(x - mean) / max(std, minimum_std)``, mean and std over each image's own values.

    Shapes: x ``(N, C, H, W)``; returns the same shape.
    minimum_std: in pixel units, > 0 (HyperparameterError otherwise); by default one grey level.
    Raises: ShapeError, if x is not a batch of images.
    Source: Roth et al., arXiv:1805.08736, experimental setup.

    The variance is clamped before the root, so a constant image becomes all zeros and both
    derivatives stay finite there: below ``minimum_std`` the map is linear.
    """

    def __init__(self, minimum_std: float = 1 / 255) -> None:
        super().__init__()
        if not 0 < minimum_std < float("inf"):
            raise HyperparameterError(f"expected minimum_std > 0 and finite, got {minimum_std}")
        self.minimum_std = minimum_std

    def forward(self, x: Tensor) -> Tensor:
        if is_symbolic(x):
            return as_one_node(self, x)
        if x.ndim != 4:
            raise ShapeError(f"expected x of shape (N, C, H, W), got {tuple(x.shape)}")
        centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
        return centred / variance.clamp_min(self.minimum_std**2).sqrt()

    def extra_repr(self) -> str:
        return f"minimum_std={self.minimum_std:g}"


def image_std(images: Tensor, minimum_std: float = 1 / 255) -> Tensor:
    """Return each image's standard deviation over all its values, at least ``minimum_std``.

    Args:
        images: (batch, channels, height, width).
        minimum_std: in the units of the images, as in ``PerImageStandardization``.

    Returns:
        Shape (batch, 1, 1, 1), to multiply images by.
    """
    variance = images.var(dim=(1, 2, 3), correction=0, keepdim=True)
    return variance.clamp_min(minimum_std**2).sqrt()


class ChannelGroupSum(nn.Module):
    """Sum ``groups`` contiguous blocks of channels: ``y[:, c] = sum_g x[:, g * C / groups + c]``.

    Shapes: x ``(N, C, ...)``; returns ``(N, C / groups, ...)``.
    Raises: HyperparameterError, if ``groups`` is not a positive integer; ShapeError, if ``groups``
        does not divide C.
    Source: Yeats, Chen & Li, ICML 2021, "feature summing"; the layout is that of the public code.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        if not isinstance(groups, int) or groups < 1:
            raise HyperparameterError(f"expected groups to be an integer >= 1, got {groups!r}")
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if is_symbolic(x):
            return as_one_node(self, x)
        if x.ndim < 2 or x.shape[1] % self.groups:
            raise ShapeError(
                f"expected x of shape (N, C, ...) with C a multiple of {self.groups}, "
                f"got {tuple(x.shape)}"
            )
        batch, channels, *rest = x.shape
        return x.reshape(batch, self.groups, channels // self.groups, *rest).sum(dim=1)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"

"""Random rotations and elastic deformations: pixels read at other places of the same image."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad

from steadygrad._typing import Images
from steadygrad.checks import check_images
from steadygrad.datasets.augmentation import AUGMENTATIONS, NATURAL
from steadygrad.errors import HyperparameterError

__all__ = ["ElasticDeformation", "Rotation", "blurred"]


@AUGMENTATIONS.register("rotate", NATURAL)
@dataclass(frozen=True)
class Rotation:
    """Turn each image about its centre by a random angle, border pixels repeated beyond the edge.

    Values between pixels are interpolated linearly.

    Args:
        degrees: the largest angle, to either side, above 0 and at most 180; angles are uniform.

    Raises:
        HyperparameterError: ``degrees`` is outside its range.
    """

    positional: ClassVar[str] = "degrees"

    degrees: float

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise HyperparameterError(
                f"expected degrees above 0 and at most 180, got {self.degrees}"
            )

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return turned images.

        Raises:
            ImageError: the images are none in [0, 1].
        """
        check_images(images, wait=False)
        rows, columns = _from_the_centre(images)
        turns = torch.empty(len(images), 1, 1, device=images.device, dtype=rows.dtype)
        angles = math.radians(self.degrees) * turns.uniform_(-1, 1, generator=generator)
        sine, cosine = angles.sin(), angles.cos()
        return _read_at(images, cosine * rows - sine * columns, cosine * columns + sine * rows)


@AUGMENTATIONS.register("elastic", NATURAL)
@dataclass(frozen=True)
class ElasticDeformation:
    """Move every pixel by a smooth random field, by about ``size`` pixels.

    Border pixels are repeated beyond the edge, values between pixels interpolated linearly.

    Args:
        size: root mean square of the moves along the axes, in pixels, in [0, 20]: of the whole
            image, where those near the border are longer, since the noise is continued there.
        smoothness: standard deviation of the Gaussian kernel that smooths the field, in pixels,
            in [0.001, 10].

    Raises:
        HyperparameterError: a setting is outside its range.

    Source: Simard, Steinkraus & Platt, ICDAR 2003.
    """

    positional: ClassVar[str] = "size"

    size: float = 1.0
    smoothness: float = 3.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("size", self.size, 0, 20),
            ("smoothness", self.smoothness, 1e-3, 10),
        ):
            if not low <= value <= high:
                raise HyperparameterError(f"expected {name} from {low:g} to {high:g}, got {value}")

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return deformed images.

        Raises:
            ImageError: the images are none in [0, 1].
        """
        check_images(images, wait=False)
        rows, columns = _from_the_centre(images)
        moves = torch.empty(
            len(images), 2, *images.shape[2:], device=images.device, dtype=rows.dtype
        ).normal_(generator=generator)
        moves = blurred(moves, self.smoothness)
        strength = moves.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        down, right = ((self.size / strength) * moves).unbind(dim=1)
        return _read_at(images, rows + down, columns + right)


def blurred(images: Tensor, std: float) -> Tensor:
    """Return images smoothed by a Gaussian kernel, border pixels repeated beyond the edge.

    Args:
        images: floating point, (batch, channels, height, width).
        std: of the kernel, in pixels; it ends at three times that.
    """
    reach = max(1, math.ceil(3 * std))
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-places.square() / (2 * std**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    planes = pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]
    return conv2d(conv2d(planes, kernel), kernel.transpose(2, 3)).view(images.shape)


def _from_the_centre(images: Images) -> tuple[Tensor, Tensor]:
    """Return the pixels' rows, (height, 1), and columns, (1, width), counted from the centre."""
    precision = torch.promote_types(images.dtype, torch.float32)  # half is too coarse for places
    rows, columns = (
        torch.arange(side, device=images.device, dtype=precision) - (side - 1) / 2
        for side in images.shape[2:]
    )
    return rows[:, None], columns[None, :]


def _read_at(images: Images, rows: Tensor, columns: Tensor) -> Images:
    """Return the values at places that are counted from the centre, (batch, height, width) each."""
    height, width = images.shape[2:]
    # A half of the side counts 1.
    places = torch.stack([columns / (width / 2), rows / (height / 2)], dim=-1)
    read = grid_sample(images.to(places.dtype), places, padding_mode="border", align_corners=False)
    return read.clamp(0, 1).to(images.dtype)

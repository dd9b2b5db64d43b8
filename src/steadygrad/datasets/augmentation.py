"""Random flips, crops and noise, drawn for each example on the images' own device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias, get_args

import torch

from steadygrad._typing import Images
from steadygrad.checks import check_kind, is_like
from steadygrad.errors import HyperparameterError, ImageError
from steadygrad.parts import Family

__all__ = [
    "AUGMENTATIONS",
    "NATURAL",
    "AugmentationStep",
    "GaussianNoise",
    "HorizontalFlip",
    "Noise",
    "RandomCrop",
    "UniformNoise",
    "augment",
]

CropMode: TypeAlias = Literal["edge", "constant"]


class AugmentationStep(Protocol):
    """One random change of a batch, each example with draws of its own."""

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return changed images of the same shape and dtype; the given ones stay as they are."""


AUGMENTATIONS: Family[AugmentationStep] = Family(
    "augmentation", "steadygrad.datasets", group="steadygrad.augmentations"
)
"""Every registered augmentation; what an image is after it, with ``NATURAL``."""

NATURAL = "natural"
"""What an augmentation is registered with that turns a photograph into another possible one."""


def augment(
    images: Images, steps: Sequence[AugmentationStep], generator: torch.Generator
) -> Images:
    """Return the images after all steps, in their order.

    Args:
        images: floating point in [0, 1], shape (batch, channels, height, width).
        steps: such as ``(HorizontalFlip(), RandomCrop(4))``. Without any, the images pass and
            nothing is drawn.
        generator: on the images' device; the draws, and so the result, follow from its state.

    Raises:
        ImageError: the images are no floating point numbers, or a step returns something else than
            images of their shape and dtype.
        HyperparameterError: the generator lies on another device, or a step does not fit the
            images' size.
    """
    if not images.is_floating_point():
        raise ImageError(
            f"expected floating point images in [0, 1] to augment, got {images.dtype}; "
            "divide bytes by 255"
        )
    if steps and generator.device.type != images.device.type:
        raise HyperparameterError(
            f"expected a generator on {images.device.type}, where the images are, "
            f"got one on {generator.device.type}"
        )
    for step in steps:
        changed = step(images, generator)
        if not is_like(changed, images):  # its name is not written in every step
            check_kind(f"the augmentation {AUGMENTATIONS.text(step)}", changed, images)
        images = changed
    return images


@AUGMENTATIONS.register("flip", NATURAL)
@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror each image left and right with probability one half."""

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return the images, about half of them mirrored."""
        draws = torch.rand(
            len(images), 1, generator=generator, device=images.device, dtype=torch.float32
        )
        return torch.where((draws < 0.5)[:, :, None, None], images.flip(-1), images)


@AUGMENTATIONS.register("crop", NATURAL)
@dataclass(frozen=True)
class RandomCrop:
    """Pad every side and cut the original size out at a random place.

    All ``(2 padding + 1)^2`` places are equally likely.

    Args:
        padding: pixels, at least 1.
        mode: "edge" repeats the border pixels into the padding, "constant" fills it with ``value``.
        value: in [0, 1]; without meaning in mode "edge".

    Raises:
        HyperparameterError: a setting is outside its range.
    """

    positional: ClassVar[str] = "padding"

    padding: int
    mode: CropMode = "edge"
    value: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.padding, bool) or not isinstance(self.padding, int):
            raise HyperparameterError(
                f"expected padding as a number of pixels, got {self.padding!r}"
            )
        if self.padding < 1:
            raise HyperparameterError(f"expected padding >= 1, got {self.padding}")
        if self.mode not in get_args(CropMode):
            raise HyperparameterError(
                f"expected mode {' or '.join(get_args(CropMode))}, got {self.mode!r}"
            )
        if not 0 <= self.value <= 1:
            raise HyperparameterError(f"expected value in [0, 1], got {self.value}")

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return the images, each moved by at most ``padding`` pixels along both axes.

        Raises:
            HyperparameterError: the padding is as large as the image, which could leave nothing.
        """
        batch, channels, height, width = images.shape
        device = images.device
        if self.padding >= min(height, width):
            raise HyperparameterError(
                f"expected a crop's padding below the images' side {min(height, width)}, "
                f"got {self.padding}"
            )
        shifts = torch.randint(
            -self.padding,
            self.padding + 1,
            (2, batch, 1),
            generator=generator,
            device=device,
            dtype=torch.int64,
        )
        rows = torch.arange(height, device=device, dtype=torch.int64) + shifts[0]
        columns = torch.arange(width, device=device, dtype=torch.int64) + shifts[1]
        inside_rows, inside_columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        # One gather instead of a slice for each image.
        source = inside_rows[:, :, None] * width + inside_columns[:, None, :]
        index = source.flatten(1)[:, None].expand(-1, channels, -1)
        placed = images.flatten(2).gather(2, index).view(batch, channels, height, width)
        if self.mode == "constant":
            is_padding = (rows != inside_rows)[:, :, None] | (columns != inside_columns)[:, None, :]
            placed = placed.masked_fill(is_padding[:, None], self.value)
        return placed


@AUGMENTATIONS.register("gaussian")
@dataclass(frozen=True)
class GaussianNoise:
    """Add independent normal noise to every pixel, then clamp to [0, 1].

    Args:
        std: standard deviation in [0, 1], pixel-range units.

    Raises:
        HyperparameterError: ``std`` is outside its range.
    """

    positional: ClassVar[str] = "std"

    std: float

    def __post_init__(self) -> None:
        _check_scale(self.std)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return the noisy images."""
        noise = torch.empty_like(images).normal_(generator=generator)
        return (images + self.std * noise).clamp(0, 1)


@AUGMENTATIONS.register("uniform")
@dataclass(frozen=True)
class UniformNoise:
    """Add independent noise, uniform in plus or minus ``half_width``, then clamp to [0, 1].

    Args:
        half_width: in [0, 1], pixel-range units.

    Raises:
        HyperparameterError: ``half_width`` is outside its range.
    """

    positional: ClassVar[str] = "half_width"

    half_width: float

    def __post_init__(self) -> None:
        _check_scale(self.half_width)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return the noisy images."""
        noise = torch.empty_like(images).uniform_(-1, 1, generator=generator)
        return (images + self.half_width * noise).clamp(0, 1)


Noise: TypeAlias = GaussianNoise | UniformNoise
"""The augmentations that add noise to every pixel."""


def _check_scale(scale: float) -> None:
    if not (math.isfinite(scale) and 0 <= scale <= 1):
        hint = f"; did you mean {scale:g}/255?" if 1 < scale <= 255 else ""
        raise HyperparameterError(f"expected a noise scale in [0, 1], got {scale}{hint}")

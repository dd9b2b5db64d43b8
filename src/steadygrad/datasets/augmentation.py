"""Random flips, crops and noise, drawn for each example on the images' own device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias, get_args

import torch

from steadygrad._typing import Images
from steadygrad.errors import HyperparameterError, ImageError
from steadygrad.parts import Family

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "AugmentationStep",
    "GaussianNoise",
    "HorizontalFlip",
    "RandomCrop",
    "UniformNoise",
    "augment",
    "parse_noise",
]

CropMode: TypeAlias = Literal["edge", "constant"]
NoiseKind: TypeAlias = Literal["none", "gaussian", "uniform"]


class AugmentationStep(Protocol):
    """One random change of a batch, each example with draws of its own."""

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return changed images of the same shape and dtype; the given ones stay as they are."""


AUGMENTATIONS: Family[AugmentationStep] = Family(
    "augmentation", "steadygrad.datasets", group="steadygrad.augmentations"
)
"""Every registered augmentation."""


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
        ImageError: the images are no floating point numbers.
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
        images = step(images, generator)
    return images


@AUGMENTATIONS.register("flip")
@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror each image left and right with probability one half."""

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return the images, about half of them mirrored."""
        draws = torch.rand(
            len(images), 1, generator=generator, device=images.device, dtype=torch.float32
        )
        return torch.where((draws < 0.5)[:, :, None, None], images.flip(-1), images)


@AUGMENTATIONS.register("crop")
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
        _check_padding(self.padding, "padding", lowest=1)
        _check_crop(self.mode, self.value, "")

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


@dataclass(frozen=True)
class Augmentation:
    """The usual steps by their settings: flip, then crop, then noise.

    Args:
        flip: mirror left and right with probability one half.
        crop_padding: as ``RandomCrop``'s ``padding``; 0 leaves the place alone.
        crop_mode: as ``RandomCrop``'s ``mode``.
        crop_value: as ``RandomCrop``'s ``value``.
        noise: "gaussian" with standard deviation ``noise_scale``, "uniform" in plus or minus
            ``noise_scale``, or "none".
        noise_scale: in [0, 1], pixel-range units; 0 without noise.

    Raises:
        HyperparameterError: a setting is outside its range.
    """

    flip: bool = False
    crop_padding: int = 0
    crop_mode: CropMode = "edge"
    crop_value: float = 0.5
    noise: NoiseKind = "none"
    noise_scale: float = 0.0

    def __post_init__(self) -> None:
        _check_padding(self.crop_padding, "crop_padding", lowest=0)
        _check_crop(self.crop_mode, self.crop_value, "crop_")
        if self.noise not in get_args(NoiseKind):
            raise HyperparameterError(
                f"expected noise {', '.join(get_args(NoiseKind))}, got {self.noise!r}"
            )
        _check_scale(self.noise_scale)
        if self.noise == "none" and self.noise_scale != 0:
            raise HyperparameterError(
                f"expected noise_scale 0 without noise, got {self.noise_scale}; "
                "choose noise gaussian or uniform"
            )

    @property
    def steps(self) -> tuple[AugmentationStep, ...]:
        """The same as single steps."""
        steps: list[AugmentationStep] = [HorizontalFlip()] if self.flip else []
        if self.crop_padding:
            steps.append(RandomCrop(self.crop_padding, self.crop_mode, self.crop_value))
        if self.noise == "gaussian":
            steps.append(GaussianNoise(self.noise_scale))
        elif self.noise == "uniform":
            steps.append(UniformNoise(self.noise_scale))
        return tuple(steps)

    @property
    def is_identity(self) -> bool:
        """Whether images pass through unchanged and nothing is drawn."""
        return not self.steps

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return augmented images; see ``augment``."""
        return augment(images, self.steps, generator)


def parse_noise(text: str) -> tuple[NoiseKind, float]:
    """Read "none", "gaussian:0.05" or "uniform:8/255" as (kind, scale).

    Raises: HyperparameterError.
    """
    kind, colon, scale = text.strip().partition(":")
    if kind == "none" and not colon:
        return "none", 0.0
    if kind in ("gaussian", "uniform") and colon:
        numerator, slash, denominator = scale.partition("/")
        try:
            value = float(numerator) / (float(denominator) if slash else 1.0)
        except (ValueError, ZeroDivisionError):
            pass
        else:
            _check_scale(value)
            return ("gaussian" if kind == "gaussian" else "uniform"), value
    raise HyperparameterError(
        f"expected noise as none, gaussian:SCALE or uniform:SCALE, for example gaussian:0.05 "
        f"or uniform:8/255, got {text!r}"
    )


def _check_padding(padding: int, key: str, *, lowest: int) -> None:
    if isinstance(padding, bool) or not isinstance(padding, int):
        raise HyperparameterError(f"expected {key} as a number of pixels, got {padding!r}")
    if padding < lowest:
        raise HyperparameterError(f"expected {key} >= {lowest}, got {padding}")


def _check_crop(mode: str, value: float, prefix: str) -> None:
    if mode not in get_args(CropMode):
        raise HyperparameterError(
            f"expected {prefix}mode {' or '.join(get_args(CropMode))}, got {mode!r}"
        )
    if not 0 <= value <= 1:
        raise HyperparameterError(f"expected {prefix}value in [0, 1], got {value}")


def _check_scale(scale: float) -> None:
    if not (math.isfinite(scale) and 0 <= scale <= 1):
        hint = f"; did you mean {scale:g}/255?" if 1 < scale <= 255 else ""
        raise HyperparameterError(f"expected a noise scale in [0, 1], got {scale}{hint}")

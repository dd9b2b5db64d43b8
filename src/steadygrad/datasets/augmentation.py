"""Random flips, crops and noise, drawn for each example on the images' own device."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch

from steadygrad._typing import Images
from steadygrad.errors import HyperparameterError

__all__ = ["Augmentation", "CropMode", "NoiseKind", "parse_noise"]

CropMode: TypeAlias = Literal["edge", "constant"]
NoiseKind: TypeAlias = Literal["none", "gaussian", "uniform"]


@dataclass(frozen=True)
class Augmentation:
    """Flip, then crop, then add noise, then clamp to [0, 1]; each example has its own draws.

    flip: mirror left and right with probability one half.
    crop_padding: pad every side by so many pixels and cut the original size out at a random
        place, all ``(2 crop_padding + 1)^2`` of them equally likely; 0 leaves the place alone.
    crop_mode: "edge" repeats the border pixels into the padding, "constant" fills it with
        ``crop_value``, in [0, 1].
    noise: "gaussian" with standard deviation ``noise_scale``, "uniform" in plus or minus
        ``noise_scale``, or "none"; in pixel-range units, independent in every pixel.
    Raises: HyperparameterError.
    """

    flip: bool = False
    crop_padding: int = 0
    crop_mode: CropMode = "edge"
    crop_value: float = 0.5
    noise: NoiseKind = "none"
    noise_scale: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.crop_padding, bool) or not isinstance(self.crop_padding, int):
            raise HyperparameterError(
                f"expected crop_padding as a number of pixels, got {self.crop_padding!r}"
            )
        if self.crop_padding < 0:
            raise HyperparameterError(f"expected crop_padding >= 0, got {self.crop_padding}")
        if self.crop_mode not in get_args(CropMode):
            raise HyperparameterError(
                f"expected crop_mode {' or '.join(get_args(CropMode))}, got {self.crop_mode!r}"
            )
        if not 0 <= self.crop_value <= 1:
            raise HyperparameterError(f"expected crop_value in [0, 1], got {self.crop_value}")
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
    def is_identity(self) -> bool:
        """Whether images pass through unchanged and nothing is drawn."""
        return not self.flip and self.crop_padding == 0 and self.noise == "none"

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return augmented images of the same shape and dtype; the given ones stay as they are.

        generator: on the images' device; the draws, and so the result, follow from its state.
        Raises: HyperparameterError, if the generator lies elsewhere or the padding is as large as
            the image, which could leave nothing of it.
        """
        if self.is_identity:
            return images
        if generator.device.type != images.device.type:
            raise HyperparameterError(
                f"expected a generator on {images.device.type}, where the images are, "
                f"got one on {generator.device.type}"
            )
        if self.flip or self.crop_padding:
            images = self._place(images, generator)
        if self.noise == "gaussian":
            noise = torch.empty_like(images).normal_(generator=generator)
            images = images + self.noise_scale * noise
        elif self.noise == "uniform":
            noise = torch.empty_like(images).uniform_(-1, 1, generator=generator)
            images = images + self.noise_scale * noise
        return images.clamp(0, 1)

    def _place(self, images: Images, generator: torch.Generator) -> Images:
        """Flip and crop in one gather: each example reads its own rows and columns."""
        batch, channels, height, width = images.shape
        device = images.device
        if self.crop_padding >= min(height, width):
            raise HyperparameterError(
                f"expected crop_padding below the images' side {min(height, width)}, "
                f"got {self.crop_padding}"
            )
        rows = torch.arange(height, device=device).repeat(batch, 1)
        columns = torch.arange(width, device=device).repeat(batch, 1)
        if self.flip:
            is_flipped = torch.rand(batch, 1, generator=generator, device=device) < 0.5
        if self.crop_padding:
            shifts = torch.randint(
                -self.crop_padding,
                self.crop_padding + 1,
                (2, batch, 1),
                generator=generator,
                device=device,
            )
            rows, columns = rows + shifts[0], columns + shifts[1]
        inside_rows, inside_columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        source_columns = inside_columns
        if self.flip:
            # The crop is cut from the flipped image: where it reads column j, the original has
            # its mirror image.
            source_columns = torch.where(is_flipped, width - 1 - inside_columns, inside_columns)
        source = inside_rows[:, :, None] * width + source_columns[:, None, :]
        index = source.flatten(1)[:, None].expand(-1, channels, -1)
        placed = images.flatten(2).gather(2, index).view_as(images)
        if self.crop_padding and self.crop_mode == "constant":
            is_padding = (rows != inside_rows)[:, :, None] | (columns != inside_columns)[:, None, :]
            placed = placed.masked_fill(is_padding[:, None], self.crop_value)
        return placed


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


def _check_scale(scale: float) -> None:
    if not (math.isfinite(scale) and 0 <= scale <= 1):
        hint = f"; did you mean {scale:g}/255?" if 1 < scale <= 255 else ""
        raise HyperparameterError(f"expected a noise scale in [0, 1], got {scale}{hint}")

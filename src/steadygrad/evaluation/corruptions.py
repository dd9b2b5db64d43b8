"""Common corruptions: disturbances of images that no adversary has chosen.

Of the kinds of Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261), at sizes of our own: their
constants are for images of 224 pixels, and the library that has them refuses images below 32 pixels
or of one channel. What is random is drawn anew for each image.
"""

import io
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.checks import check_images
from steadygrad.datasets.deformation import ElasticDeformation, blurred
from steadygrad.errors import HyperparameterError

__all__ = [
    "BrightnessGradient",
    "ContrastGradient",
    "Corruption",
    "ElasticDeformation",
    "Fog",
    "GaussianBlur",
    "JpegCompression",
    "Shift",
    "ShotNoise",
]


class Corruption(Protocol):
    """Disturbed images, (batch, channels, height, width) in [0, 1]; a frozen dataclass."""

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return disturbed images; the given ones stay as they are.

        Args:
            images: on the CPU.
            generator: feeds what is random.
        """
        ...


@dataclass(frozen=True)
class BrightnessGradient:
    """Add a plane that rises from ``-size`` to ``size`` across the image, in a random direction.

    Args:
        size: largest change of a pixel, in [0, 1].
    """

    size: float = 0.3

    def __post_init__(self) -> None:
        _check("size", self.size, 0, 1)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return brighter and darker sides."""
        check_images(images)
        return (images + self.size * _planes(images, generator)).clamp(0, 1)


@dataclass(frozen=True)
class ContrastGradient:
    """Draw pixels towards the image's mean, not at all at one side and by ``size`` at the other.

    Args:
        size: largest share of the contrast that is lost, in [0, 1].
    """

    size: float = 0.8

    def __post_init__(self) -> None:
        _check("size", self.size, 0, 1)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return images that lose contrast in a random direction."""
        check_images(images)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        lost = self.size * (_planes(images, generator) + 1) / 2
        return images + lost * (mean - images)


@dataclass(frozen=True)
class Fog:
    """Mix with bright clouds: noise whose amplitudes fall as ``f^-1.5``, the same in all channels.

    Args:
        size: weight of the clouds, in [0, 1].
    """

    size: float = 0.4

    def __post_init__(self) -> None:
        _check("size", self.size, 0, 1)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return images behind clouds."""
        check_images(images)
        count, _, height, width = images.shape
        white = torch.randn(count, height, width, generator=generator, dtype=images.dtype)
        rows = torch.fft.fftfreq(height)[:, None] * height
        columns = torch.fft.rfftfreq(width)[None, :] * width
        fall = (rows.square() + columns.square()).clamp_min(1).pow(0.75)
        clouds: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) / fall, s=(height, width))
        low, high = clouds.amin((1, 2), keepdim=True), clouds.amax((1, 2), keepdim=True)
        clouds = 0.5 + 0.5 * (clouds - low) / (high - low).clamp_min(1e-12)
        foggy: Images = (1 - self.size) * images + self.size * clouds[:, None].to(images)
        return foggy


@dataclass(frozen=True)
class GaussianBlur:
    """Blur with a Gaussian kernel, the border pixels repeated beyond the edge.

    Args:
        std: of the kernel, in pixels, above 0 and at most 10.
    """

    std: float = 1.0

    def __post_init__(self) -> None:
        _check("std", self.std, 1e-3, 10)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:  # noqa: ARG002 - nothing is drawn
        """Return blurred images."""
        check_images(images)
        return blurred(images, self.std).clamp(0, 1)


@dataclass(frozen=True)
class JpegCompression:
    """Compress as JPEG, and read again.

    Args:
        quality: 1 to 95, Pillow's.
    """

    quality: int = 20

    def __post_init__(self) -> None:
        _check("quality", self.quality, 1, 95)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:  # noqa: ARG002 - nothing is drawn
        """Return images of one or three channels, compressed.

        Raises: HyperparameterError, for another number of channels.
        """
        import numpy as np
        from PIL import Image

        check_images(images)
        channels = images.shape[1]
        if channels not in (1, 3):
            raise HyperparameterError(
                f"expected images of 1 or 3 channels to compress as JPEG, got {channels}"
            )
        found = []
        for image in (255 * images).round().to(torch.uint8):
            pixels = image[0] if channels == 1 else image.permute(1, 2, 0)
            file = io.BytesIO()
            Image.fromarray(pixels.cpu().numpy()).save(file, "JPEG", quality=self.quality)
            read = torch.from_numpy(np.array(Image.open(file)))
            found.append(read[None] if channels == 1 else read.permute(2, 0, 1))
        return (torch.stack(found) / 255).to(images)


@dataclass(frozen=True)
class ShotNoise:
    """Draw each pixel from a Poisson distribution: light that arrives in ``photons`` at white.

    Args:
        photons: mean number at a pixel of value 1, above 0; fewer are noisier.
    """

    photons: float = 20.0

    def __post_init__(self) -> None:
        _check("photons", self.photons, 1e-3, 1e6)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return noisy images."""
        check_images(images)
        return (torch.poisson(self.photons * images, generator=generator) / self.photons).clamp(
            0, 1
        )


@dataclass(frozen=True)
class Shift:
    """Move the image by whole pixels along both axes, at random; border pixels are repeated.

    Args:
        pixels: the largest move along each axis, at least 1.
    """

    pixels: int = 3

    def __post_init__(self) -> None:
        _check("pixels", self.pixels, 1, 1000)

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Return moved images."""
        check_images(images)
        count, _, height, width = images.shape
        moves = torch.randint(-self.pixels, self.pixels + 1, (2, count, 1), generator=generator)
        rows = (torch.arange(height) + moves[0]).clamp(0, height - 1)
        columns = (torch.arange(width) + moves[1]).clamp(0, width - 1)
        every = torch.arange(count)[:, None, None]
        return images.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None]].permute(
            0, 3, 1, 2
        )


def _planes(images: Images, generator: torch.Generator) -> Tensor:
    """Return a plane in a random direction for each image, -1 to 1, (batch, 1, height, width)."""
    count, _, height, width = images.shape
    angle = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=generator, dtype=images.dtype)
    rows = torch.linspace(-1, 1, height, dtype=images.dtype)[:, None]
    columns = torch.linspace(-1, 1, width, dtype=images.dtype)[None, :]
    plane = angle.sin() * rows + angle.cos() * columns
    return plane / plane.abs().amax(dim=(2, 3), keepdim=True)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise HyperparameterError(f"expected {name} from {low:g} to {high:g}, got {value}")

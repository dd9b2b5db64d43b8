"""Encoded images (PNG, JPEG and what else Pillow reads) as uint8 arrays, brought to one size."""

import io
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from steadygrad.errors import DatasetError, HyperparameterError
from steadygrad.extras import extra
from steadygrad.progress_lines import ProgressLines

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Encoded", "Framing", "Interpolation", "decode_image", "decode_images", "track_if_slow"]

Encoded: TypeAlias = bytes | str
"""An image's bytes, or the path of its file."""
Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"})
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM")
"""Those whose depth and number of frames are known before decoding. MPO is what cameras write in
place of JPEG: the photograph, then previews of it."""
ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""

CROP_TRIES = 10
"""Draws of a random crop's shape before the centre is taken instead."""
ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Width over height of a random crop."""

T = TypeVar("T")
PATIENCE_SECONDS = 3.0
"""Work expected to take longer in all gets a bar."""
LOOK_AFTER_SECONDS = 0.5
"""When the expectation is formed, from the share done so far."""
BLOCK = 256
"""Items between two looks at the clock."""


@dataclass(frozen=True)
class Framing:
    """How images of any size become squares of one size.

    The shorter side is scaled to ``shorter_side`` and the middle ``size`` by ``size`` pixels are
    cut out. ``smallest_area`` below 1 cuts a random part instead, of at least that share of the
    image's area and a width of 3/4 to 4/3 of its height, and scales it to ``size``.

    Args:
        size: pixels, at least 1.
        shorter_side: pixels, at least ``size``; None for ``size``.
        smallest_area: in (0, 1]; 1 for the middle.
        interpolation: "bilinear" or "bicubic", both with the low-pass filter that shrinking needs.

    Raises:
        HyperparameterError: a setting is outside its range.
    Source: for random parts Szegedy et al., CVPR 2015 (arXiv:1409.4842), section 6.
    """

    size: int
    shorter_side: int | None = None
    smallest_area: float = 1.0
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise HyperparameterError(f"expected image_size >= 1 pixel, got {self.size!r}")
        if self.shorter_side is not None and self.shorter_side < self.size:
            raise HyperparameterError(
                f"expected shorter_side >= image_size {self.size}, got {self.shorter_side}"
            )
        if not 0 < self.smallest_area <= 1:
            raise HyperparameterError(f"expected smallest_area in (0, 1], got {self.smallest_area}")
        if self.interpolation not in get_args(Interpolation):
            raise HyperparameterError(
                f"expected interpolation {' or '.join(get_args(Interpolation))}, "
                f"got {self.interpolation!r}"
            )

    def apply(self, image: "Image", draws: np.random.Generator | None = None) -> "Image":
        """Return the image as a square of ``size``; ``draws`` decides on its random part."""
        with extra("data"):
            from PIL.Image import Resampling

        width, height = image.size
        if self.smallest_area < 1 and draws is not None:
            box = self._random_box(width, height, draws)
        else:
            side = min(width, height) * self.size / (self.shorter_side or self.size)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
        filter_ = Resampling.BILINEAR if self.interpolation == "bilinear" else Resampling.BICUBIC
        return image.resize((self.size, self.size), filter_, box=box)

    def _random_box(
        self, width: int, height: int, draws: np.random.Generator
    ) -> tuple[float, float, float, float]:
        low, high = (math.log(ratio) for ratio in ASPECT_RATIOS)
        for _ in range(CROP_TRIES):
            share, shape, across, down = draws.random(4)
            area = width * height * (self.smallest_area + (1 - self.smallest_area) * share)
            ratio = math.exp(low + (high - low) * shape)
            wide, tall = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if wide <= width and tall <= height:
                left, top = (width - wide) * across, (height - tall) * down
                # Rounding must not lead out of the image.
                return left, top, min(left + wide, width), min(top + tall, height)
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side


def decode_image(
    encoded: Encoded,
    name: Callable[[], str],
    *,
    framing: Framing | None = None,
    channels: int | None = None,
    draws: np.random.Generator | None = None,
) -> NDArray[np.uint8]:
    """Return one image as it is displayed: the camera's orientation (EXIF) is applied.

    A palette counts as colour, and transparency is dropped.

    Args:
        encoded: the image.
        name: gives the image's name for messages.
        framing: brings it to one size; None keeps its own.
        channels: 1 (luminance) or 3; None for 1 if it is grey, else 3.
        draws: for a framing with random parts.

    Returns:
        Shape (height, width, channels).

    Raises:
        DatasetError: it is damaged, no image, of an unknown format, has several frames or more than
            8 bits a channel.
    """
    with extra("data"):
        from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            refusal = _refusal(image)
            if refusal is None:
                shown = ImageOps.exif_transpose(image) if _is_turned(image) else image
                is_grey = shown.mode in GREY_MODES
                mode = "L" if (channels or (1 if is_grey else 3)) == 1 else "RGB"
                if shown.mode == "P" and "transparency" in shown.info:
                    shown = shown.convert("RGBA")
                shown = shown if shown.mode == mode else shown.convert(mode)
                if framing is not None:
                    shown = framing.apply(shown, draws)
                pixels = np.asarray(shown)
                return pixels[:, :, None] if mode == "L" else pixels
    except Exception as error:  # what Pillow raises on damaged files differs with their format
        raise DatasetError(f"cannot read {name()}: {_reason(encoded, error)}") from error
    raise DatasetError(f"cannot read {name()}: {refusal}")


def decode_images(
    images: Iterable[Encoded],
    total: int,
    where: str,
    describe: Callable[[int], str],
    *,
    framing: Framing | None = None,
) -> NDArray[np.uint8]:
    """Return all images in one array: one channel if every one is grey, else RGB.

    Args:
        images: the images, ``total`` of them.
        total: their number.
        where: names the set in messages.
        describe: names the image of an index.
        framing: brings them to one size; None demands that they have one.

    Returns:
        Shape (total, channels, height, width).

    Raises:
        DatasetError: as ``decode_image``; there is no image, they differ in size, or together they
            are larger than this machine's memory.
    """
    if not total:
        raise DatasetError(f"expected at least one image in {where}, got none")
    pixels: NDArray[np.uint8] | None = None
    index = -1
    for index, encoded in enumerate(track_if_slow(images, total, "reading images")):

        def name(index: int = index) -> str:
            return f"{describe(index)} of {where}"

        decoded = decode_image(encoded, name, framing=framing)
        height, width = decoded.shape[:2]
        if pixels is None:
            _check_memory(total, decoded, where)
            pixels = np.empty((total, decoded.shape[2], height, width), dtype=np.uint8)
        if (height, width) != pixels.shape[2:]:
            raise DatasetError(
                f"expected images of one size in {where}, got {pixels.shape[2]}x{pixels.shape[3]} "
                f"and, in {describe(index)}, {height}x{width}; "
                "give an image_size, to which they are scaled and cropped"
            )
        if decoded.shape[2] > pixels.shape[1]:  # the first image in colour after grey ones
            pixels = np.repeat(pixels, 3, axis=1)
        pixels[index] = decoded.transpose(2, 0, 1)
    if pixels is None or index + 1 != total:
        raise DatasetError(f"expected {total} images in {where}, got {index + 1}")
    return pixels


def track_if_slow(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items; if they take long, show how far they are on standard error."""
    with extra("data"):
        from rich.console import Console
        from rich.progress import Progress

    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        lines = ProgressLines(description, partial(print, file=sys.stderr, flush=True))
        for done, item in enumerate(items, start=1):
            yield item
            lines(done, total)
        return
    progress = Progress(console=console, transient=True)
    task = progress.add_task(description, total=total)
    started, is_shown = time.monotonic(), False
    try:
        for done, item in enumerate(items, start=1):
            yield item
            if done % BLOCK:
                continue
            elapsed = time.monotonic() - started
            expected = elapsed / done * total
            if not is_shown and elapsed > LOOK_AFTER_SECONDS and expected > PATIENCE_SECONDS:
                progress.start()
                is_shown = True
            progress.update(task, completed=done)
    finally:
        if is_shown:
            progress.stop()


def _refusal(image: "Image") -> str | None:
    """Say why an opened image cannot be taken as it is."""
    if image.format not in FORMATS:
        return f"it is {image.format}; convert it to one of {', '.join(FORMATS)}"
    if _has_deep_channels(image) or image.mode.startswith(("I", "F")):
        return f"it has more than 8 bits a channel ({image.format}, mode {image.mode!r})"
    if image.mode not in GREY_MODES | COLOUR_MODES:
        return f"its colours are {image.mode}; convert it to RGB"
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        return f"it holds {frames} frames, not one image"
    return None


def _has_deep_channels(image: "Image") -> bool:
    """Return whether the file holds more bits than Pillow's mode, which it would cut off."""
    if image.format == "TIFF":
        return any(bits > 8 for bits in _tiff_bits(image))
    arguments = [
        argument
        for tile in image.tile  # type: ignore[attr-defined]  # an image file has it
        for argument in (tile.args if isinstance(tile.args, tuple) else (tile.args,))
    ]
    if image.format == "PNG":
        return any(str(raw).endswith(";16B") for raw in arguments)
    if image.format == "PPM":
        return any(isinstance(largest, int) and largest > 255 for largest in arguments)
    return False


def _tiff_bits(image: "Image") -> tuple[int, ...]:
    bits = image.tag_v2.get(258, 1)  # type: ignore[attr-defined]  # a TIFF image has it
    return bits if isinstance(bits, tuple) else (bits,)


def _is_turned(image: "Image") -> bool:
    return bool(image.getexif().get(ORIENTATION, 1) != 1)


def _reason(encoded: Encoded, error: Exception) -> str:
    if isinstance(encoded, str) and not Path(encoded).exists():
        return "the file, or what its link points to, does not exist"
    if isinstance(error, PermissionError):
        return "the file must not be read (permission denied)"
    if type(error).__name__ == "DecompressionBombError":
        return f"it has more pixels than Pillow takes for safe ({error})"
    return "it is damaged, or no image"


def _check_memory(total: int, first: NDArray[np.uint8], where: str) -> None:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return
    needed = total * first.nbytes
    if needed > memory:
        height, width = first.shape[:2]
        raise DatasetError(
            f"expected images that fit in memory in {where}, got {total:,} of {height}x{width}, "
            f"{needed / 2**30:.1f} of {memory / 2**30:.1f} GiB; give a limit or a smaller "
            "image_size, or read them with image_loader"
        )

"""Turning encoded images (PNG, JPEG and what else Pillow reads) into one uint8 array."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steadygrad.datasets.progress import track_if_slow
from steadygrad.errors import DatasetError

__all__ = ["decode_images"]

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"})


def decode_images(
    encoded: Sequence[bytes | Path], where: str, describe: Callable[[int], str]
) -> NDArray[np.uint8]:
    """Return ``(N, channels, height, width)``: one channel if every image is grey, else RGB.

    encoded: the bytes of each image, or the path of its file. A palette counts as colour, and
        transparency is dropped.
    where: names the set in messages; ``describe(index)`` names one of its images.
    Raises: DatasetError, if there is no image, or naming the first one that cannot be read, has
        more than 8 bits a channel, or differs in size from those before it.
    """
    if not encoded:
        raise DatasetError(f"expected at least one image in {where}, got none")
    pixels: NDArray[np.uint8] | None = None
    for index, source in enumerate(track_if_slow(encoded, len(encoded), "reading images")):
        decoded = _decode(source, where, describe, index)
        height, width = decoded.shape[:2]
        if pixels is None:
            pixels = np.empty((len(encoded), *decoded.shape), dtype=np.uint8)
        if (height, width) != pixels.shape[1:3]:
            raise DatasetError(
                f"expected images of one size in {where}, got {pixels.shape[1]}x{pixels.shape[2]} "
                f"and, in {describe(index)}, {height}x{width}; resize them first"
            )
        if decoded.shape[2] > pixels.shape[3]:  # the first image in colour after grey ones
            pixels = np.repeat(pixels, 3, axis=3)
        pixels[index] = decoded
    assert pixels is not None
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _decode(
    source: bytes | Path, where: str, describe: Callable[[int], str], index: int
) -> NDArray[np.uint8]:
    """Return one image as ``(height, width, 1 or 3)``."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            mode = image.mode
            if mode in GREY_MODES:
                return np.asarray(image if mode == "L" else image.convert("L"))[:, :, None]
            if mode in COLOUR_MODES:
                return np.asarray(image if mode == "RGB" else image.convert("RGB"))
    except Exception as error:  # what Pillow raises on damaged files differs with their format
        raise DatasetError(
            f"cannot read {describe(index)} of {where}: it is damaged, or no image"
        ) from error
    raise DatasetError(
        f"expected images of 8 bits a channel in {where}, got mode {mode!r} in {describe(index)}"
    )

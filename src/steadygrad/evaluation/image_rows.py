"""Large sets of images, of which a few at a time are in memory."""

import math
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.datasets import ImageDataset
from steadygrad.errors import ImageError, OutputError

__all__ = ["MOST_BYTES", "AnyImages", "ImageRows", "joined", "rows_of_dataset", "witness"]

MOST_BYTES = 256 << 20
"""Of images in floating point, 256 MiB: up to here a set is kept in memory whole."""
_CHUNK = 64
"""Images read together where all are gone through."""


class ImageRows:
    """Images that are read when they are asked for: ``rows[:8]``, ``rows[int64 tensor]``.

    Args:
        read: returns the images at places, in their order.
        shape: (n, channels, height, width).
        dtype: of the images that ``read`` returns, on the CPU.
        bounds: lowest and highest pixel of all.
    """

    def __init__(
        self,
        read: Callable[[list[int]], Images],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        bounds: tuple[float, float],
    ) -> None:
        self._read, self.shape, self.dtype = read, torch.Size(shape), dtype
        self.device = torch.device("cpu")
        self.extremes = torch.tensor(bounds, dtype=dtype, device="cpu").view(1, 1, 1, 2)
        """The lowest and the highest pixel, as an image: what a check of values looks at."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> Images:
        """Return the images at these places, a new tensor on the CPU."""
        places = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        if len(places) == 0:
            return torch.empty((0, *self.shape[1:]), dtype=self.dtype, device="cpu")
        return self._read(list(places))

    def chunks(self) -> Iterator[Images]:
        """Yield all images in order, some at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK]


AnyImages: TypeAlias = Images | ImageRows
"""Images in a tensor, or read when they are asked for."""


def witness(images: AnyImages) -> Tensor:
    """Return a batch whose dtype and values are judged in the place of the images'."""
    return images.extremes if isinstance(images, ImageRows) else images


def rows_of_dataset(dataset: ImageDataset) -> AnyImages:
    """Return a data set's images: a large one's stay the bytes they are until they are read."""
    is_large = 4 * dataset.pixels.numel() > MOST_BYTES
    if dataset.pixels.dtype != torch.uint8 or not is_large:
        return dataset.images()

    def read(places: list[int]) -> Images:
        return dataset.images(torch.tensor(places, device=dataset.device)).cpu()

    return ImageRows(read, tuple(dataset.pixels.shape), torch.float32, (0.0, 1.0))


def joined(batches: Iterable[tuple[Images, Labels]]) -> tuple[AnyImages, Labels]:
    """Return the images and labels of batches; beyond 256 MiB, images go into a temporary file.

    The file lies in Python's temporary folder (``TMPDIR``) and is gone when the images are. Images
    that are whole 255ths take a byte a value there, others what they take in memory.

    Raises:
        ImageError: there is no image, or not all are of one size and dtype.
        OutputError: the file cannot be written.
    """
    parts: list[Images] = []
    labels: list[Labels] = []
    size, spool = 0, _Spool()
    for images, named in batches:
        labels.append(named.clone())
        size += images.numel() * images.element_size()
        if size <= MOST_BYTES:
            parts.append(images.clone())  # the loader may fill the same memory again
            continue
        for part in (*parts, images):
            spool.add(part)
        parts.clear()
    if not labels:
        raise ImageError("expected at least one image, got none")
    if size > MOST_BYTES:
        return spool.rows(), torch.cat(labels)
    return parts[0] if len(parts) == 1 else torch.cat(parts), torch.cat(labels)


class _Spool:
    """Images in a file without a name, one after the other."""

    def __init__(self) -> None:
        self.file: IO[bytes]
        self.shape: torch.Size | None = None
        self.dtype = torch.float32
        self.places: list[tuple[int, bool]] = []
        self.lowest, self.highest = math.inf, -math.inf

    def add(self, images: Images) -> None:
        if self.shape is None:
            self.shape, self.dtype = images.shape[1:], images.dtype
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is read
            weakref.finalize(self, self.file.close)
        if images.shape[1:] != self.shape or images.dtype != self.dtype:
            raise ImageError(
                f"expected all images of {self.dtype} and shape {tuple(self.shape)}, "
                f"got {images.dtype} and {tuple(images.shape[1:])}"
            )
        images = images.cpu().contiguous()
        as_bytes = _as_bytes(images)
        for image in images if as_bytes is None else as_bytes:
            self.places.append((self.file.tell(), as_bytes is not None))
            try:
                self.file.write(image.reshape(-1).view(torch.uint8).numpy().data)
            except OSError as error:
                raise OutputError(
                    f"cannot keep {len(self.places)} images in {tempfile.gettempdir()}: "
                    f"{error.strerror or error}; set TMPDIR to a folder with more room"
                ) from error
        if images.numel():
            low, high = (bound.item() for bound in images.aminmax())
            # In this order NaN stays, and is refused later.
            self.lowest = low if not low >= self.lowest else self.lowest
            self.highest = high if not high <= self.highest else self.highest

    def rows(self) -> ImageRows:
        shape = (len(self.places), *(self.shape or ()))
        return ImageRows(self._read, shape, self.dtype, (self.lowest, self.highest))

    def _read(self, places: list[int]) -> Images:
        found = torch.empty((len(places), *(self.shape or ())), dtype=self.dtype, device="cpu")
        for image, place in zip(found, places, strict=True):
            offset, is_bytes = self.places[place]
            stored = torch.empty(image.shape, dtype=torch.uint8 if is_bytes else self.dtype)
            self.file.seek(offset)
            self.file.readinto(stored.view(-1).view(torch.uint8).numpy().data)  # type: ignore[attr-defined] # a file opened for bytes has it
            image.copy_(stored.to(self.dtype) / 255 if is_bytes else stored)
        return found


def _as_bytes(images: Images) -> Tensor | None:
    """Return float32 images as bytes, or None if they would not be the same afterwards."""
    if images.dtype != torch.float32:
        return None
    found = (255 * images).round().clamp(0, 255).to(torch.uint8)
    return found if torch.equal(found.to(torch.float32) / 255, images) else None

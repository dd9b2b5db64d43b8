"""Decoded copies of image sets in the user's cache folder, so that images are decoded once."""

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from steadygrad.datasets.decoding import Encoded, Framing, decode_images
from steadygrad.datasets.image_table import ImageTable, unknown_split

__all__ = ["DecodedSplit", "cache_folder", "copy_folder", "read_split"]

FORMAT_VERSION = "2"
"""Part of every signature: raise it when what is read from the same files changes."""


@dataclass(frozen=True)
class DecodedSplit:
    """What was read of a split.

    Args:
        pixels: shape (N, channels, height, width), uint8.
        labels: shape (N,), int64.
        class_names: of the whole set.
        count: images of the split on disk; N may be less, under a limit.
        notes: what a reader of results has to know.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    count: int
    notes: tuple[str, ...]


def cache_folder() -> Path:
    """Return ``$STEADYGRAD_CACHE``, else ``$XDG_CACHE_HOME/steadygrad``, else in ``~/.cache``."""
    if own := os.environ.get("STEADYGRAD_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steadygrad"


def read_split(
    table: ImageTable,
    split: str,
    *,
    limit: int | None = None,
    framing: Framing | None = None,
    cache: bool = True,
) -> DecodedSplit:
    """Return a split, decoded now or taken from an earlier decoding.

    A copy counts only if its source's files still have their paths, sizes and times of change, and
    its own checksum holds; otherwise it is made anew. A cache folder that cannot be written costs
    time and nothing else.

    Args:
        table: the set.
        split: one of its splits.
        limit: the first so many images only, at least 1.
        framing: brings the images to one size.
        cache: use and make copies.

    Raises:
        DatasetError: the set has no such split, or is damaged.
    """
    if split not in table.splits:
        raise unknown_split(table, split)
    if not cache:
        return _decode(table, split, limit, framing)
    signature = _signature(table.files(split))
    for wanted in dict.fromkeys((None, limit)):  # a copy of all images serves a limit
        found = _load(_path(table, split, wanted, framing), signature)
        if found is not None and (wanted == limit or _has_channels_of_first(found, limit)):
            return found if limit is None else _first(found, limit)
    decoded = _decode(table, split, limit, framing)
    if len(decoded.labels) == decoded.count:
        limit = None
    _save(_path(table, split, limit, framing), decoded, signature)
    return decoded


def copy_folder(table: ImageTable, split: str) -> Path:
    """Return the folder for the copy of a split from which rows can be taken at random places.

    It follows from the state of the set's files; the folders of earlier states are removed.
    """
    place = cache_folder() / "rows" / f"{table.title}-{split}-{_origin(table)}"
    current = place / _signature(table.files(split))[:16]
    if place.is_dir():
        for old in place.iterdir():
            if old != current:
                shutil.rmtree(old, ignore_errors=True)
    return current


def _decode(
    table: ImageTable, split: str, limit: int | None, framing: Framing | None
) -> DecodedSplit:
    count = table.count(split)
    wanted = count if limit is None else min(limit, count)
    labels: list[int] = []

    def images() -> Iterator[Encoded]:
        for image, label in table.in_order(split):
            if len(labels) == wanted:
                return
            labels.append(label)
            yield image

    where = f"the {split} split of {table.title} in {table.place}"
    pixels = decode_images(
        images(), wanted, where, lambda index: table.describe(split, index), framing=framing
    )
    return DecodedSplit(
        torch.from_numpy(pixels),
        torch.tensor(labels, dtype=torch.int64, device="cpu"),
        table.class_names,
        count,
        table.notes(split),
    )


def _has_channels_of_first(decoded: DecodedSplit, limit: int | None) -> bool:
    """Return whether the first images alone would certainly have as many channels.

    A grey image among images in colour has three equal ones, and so may a file in colour.
    """
    first = decoded.pixels[:limit]
    is_all = len(first) == decoded.count
    return is_all or first.shape[1] == 1 or bool((first != first[:, :1]).any())


def _first(decoded: DecodedSplit, limit: int) -> DecodedSplit:
    return DecodedSplit(
        decoded.pixels[:limit],
        decoded.labels[:limit],
        decoded.class_names,
        decoded.count,
        decoded.notes,
    )


def _origin(table: ImageTable, *settings: object) -> str:
    place = str(Path(table.place).resolve())
    described = [type(table).__name__, place, table.settings, *map(repr, settings)]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _path(table: ImageTable, split: str, limit: int | None, framing: Framing | None) -> Path:
    # Sizes and times of change are not in the name: a newer copy replaces the one out of date.
    name = f"{table.title}-{split}-{_origin(table, limit, framing)}.safetensors"
    return cache_folder() / "datasets" / name


def _signature(files: Sequence[Path]) -> str:
    described = [(str(file), *_state(file)) for file in files]
    return hashlib.sha256(json.dumps([FORMAT_VERSION, described]).encode()).hexdigest()


def _state(file: Path) -> tuple[int, ...]:
    try:
        state = file.stat()
    except OSError:  # a file of another split, which need not be readable
        return ()
    # The time of the last change of the entry itself cannot be set, as that of the content can:
    # a file replaced by one of equal size and time is noticed.
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _checksum(pixels: Tensor, labels: Tensor) -> str:
    return str(zlib.crc32(labels.numpy().data, zlib.crc32(pixels.numpy().data)))


def _load(path: Path, signature: str) -> DecodedSplit | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("signature") != signature:
                return None
            pixels, labels = file.get_tensor("pixels"), file.get_tensor("labels")
            class_names = tuple(json.loads(metadata["class_names"]))
            count, notes = int(metadata["count"]), tuple(json.loads(metadata["notes"]))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    if pixels.dtype != torch.uint8 or labels.dtype != torch.int64:
        return None
    if _checksum(pixels, labels) != metadata.get("checksum"):
        return None
    return DecodedSplit(pixels, labels, class_names, count, notes)


def _save(path: Path, decoded: DecodedSplit, signature: str) -> None:
    """Write through a temporary file, so that no reader ever sees half a copy."""
    metadata = {
        "signature": signature,
        "checksum": _checksum(decoded.pixels, decoded.labels),
        "class_names": json.dumps(decoded.class_names),
        "count": str(decoded.count),
        "notes": json.dumps(decoded.notes),
    }
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        os.close(descriptor)
        tensors = {"pixels": decoded.pixels, "labels": decoded.labels}
        safetensors.torch.save_file(tensors, temporary, metadata)
        Path(temporary).replace(path)
    except (OSError, SafetensorError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)

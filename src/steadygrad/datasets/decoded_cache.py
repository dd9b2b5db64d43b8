"""Decoded copies of image sets in the user's cache folder, so that images are decoded once."""

import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from steadygrad.datasets.source import ImageSource

__all__ = ["cache_folder", "read_cached"]

FORMAT_VERSION = "1"
"""Part of every signature: raise it when what is read from the same files changes."""


def cache_folder() -> Path:
    """Return ``$STEADYGRAD_CACHE``, else ``$XDG_CACHE_HOME/steadygrad``, else in ``~/.cache``."""
    if own := os.environ.get("STEADYGRAD_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steadygrad"


def read_cached(source: ImageSource, split: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return (pixels, labels, class names) of a split, decoded or from an earlier decoding.

    A copy counts only if its source's files still have their paths, sizes and times of change,
    and its own checksum holds; otherwise it is made anew. A cache folder that cannot be written
    costs time and nothing else.
    Raises: DatasetError, as the source does.
    """
    signature = _signature(source)
    path = _path(source, split)
    if (found := _load(path, signature)) is not None:
        return found
    pixels, labels = source.read(split)
    class_names = source.class_names
    metadata = {
        "signature": signature,
        "checksum": _checksum(pixels, labels),
        "class_names": json.dumps(class_names),
    }
    _save(path, {"pixels": pixels, "labels": labels}, metadata)
    return pixels, labels, class_names


def _path(source: ImageSource, split: str) -> Path:
    # Sizes and times of change are not in the name: a newer copy replaces the one out of date.
    origin = [type(source).__name__, str(source.folder.resolve()), source.settings]
    digest = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]
    return cache_folder() / "datasets" / f"{source.folder.name}-{split}-{digest}.safetensors"


def _signature(source: ImageSource) -> str:
    states = [(str(path.resolve()), path.stat()) for path in source.files]
    described = [(path, state.st_size, state.st_mtime_ns) for path, state in states]
    return hashlib.sha256(json.dumps([FORMAT_VERSION, described]).encode()).hexdigest()


def _checksum(pixels: Tensor, labels: Tensor) -> str:
    return str(zlib.crc32(labels.numpy().data, zlib.crc32(pixels.numpy().data)))


def _load(path: Path, signature: str) -> tuple[Tensor, Tensor, tuple[str, ...]] | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("signature") != signature:
                return None
            pixels, labels = file.get_tensor("pixels"), file.get_tensor("labels")
            class_names = tuple(json.loads(metadata["class_names"]))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    if pixels.dtype != torch.uint8 or labels.dtype != torch.int64:
        return None
    return (
        (pixels, labels, class_names) if _checksum(pixels, labels) == metadata["checksum"] else None
    )


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write through a temporary file, so that no reader ever sees half a copy."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        os.close(descriptor)
        safetensors.torch.save_file(tensors, temporary, metadata)
        Path(temporary).replace(path)
    except (OSError, SafetensorError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)

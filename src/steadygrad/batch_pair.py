"""The images and the labels in what data sets and loaders give: tuples and mappings."""

from collections.abc import Mapping
from typing import Any

__all__ = ["pair_kind", "pair_of"]

_IMAGES, _LABELS = ("pixel_values", "images", "image"), ("labels", "label")


def pair_of(batch: Any) -> tuple[Any, Any] | None:
    """Return the images and labels of a batch, or the image and label of an example.

    Args:
        batch: a tuple or list that begins with both, or a mapping with "pixel_values", "images" or
            "image", and "labels" or "label". Whatever else it holds is left alone.

    Returns:
        Both, as they are; None if there are no two.
    """
    if isinstance(batch, Mapping):
        images, labels = (
            next((batch[name] for name in names if name in batch), None)
            for names in (_IMAGES, _LABELS)
        )
        return None if images is None or labels is None else (images, labels)
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        return batch[0], batch[1]
    return None


def pair_kind(batch: Any) -> str:
    """Return what a batch is, for a sentence that refuses it."""
    if isinstance(batch, Mapping):
        return f"a mapping with {', '.join(map(str, batch)) or 'nothing'}"
    if isinstance(batch, tuple | list):
        kinds = f" ({', '.join(type(item).__name__ for item in batch)})" if len(batch) < 10 else ""
        return f"a {type(batch).__name__} of {len(batch)}{kinds if batch else ''}"
    return type(batch).__name__

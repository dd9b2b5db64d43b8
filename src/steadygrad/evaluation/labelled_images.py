"""Images and labels in whatever form they come: tensors, a data set, or a loader of batches."""

from collections.abc import Iterable, Sized
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from steadygrad._typing import Images, Labels
from steadygrad.datasets import ImageDataset
from steadygrad.errors import ImageError, LabelError

__all__ = ["ImageSource", "labelled_images"]

ImageSource: TypeAlias = Images | ImageDataset | Dataset[Any] | Iterable[Any]
"""Images, or what holds images and labels: our data set, torch's, or a loader of batches."""


def labelled_images(source: ImageSource, labels: Labels | None) -> tuple[Images, Labels]:
    """Return images (n, channels, height, width) and labels int64 (n,) as tensors.

    Args:
        source: images as a tensor; an ``ImageDataset``; a torch ``Dataset`` of pairs (image,
            label); or an iterable of batches (images, labels), such as a ``DataLoader``.
        labels: of images given as a tensor; None otherwise.

    Raises:
        LabelError: there are no labels, or they were given twice.
        ImageError: there is no image, or an example is no pair.
    """
    if isinstance(source, Tensor):
        if labels is None:
            raise LabelError("expected labels beside a tensor of images, got none")
        return source, labels
    if labels is not None:
        raise LabelError(
            f"expected no labels beside {type(source).__name__}, which has its own; got some"
        )
    if isinstance(source, ImageDataset):
        return source.images(), source.labels
    if isinstance(source, Dataset) and isinstance(source, Sized):
        indexed: Any = source
        return _joined([_example(indexed[index]) for index in range(len(source))])
    return _joined([_pair(batch) for batch in cast("Iterable[Any]", source)])


def _example(example: Any) -> tuple[Tensor, Tensor]:
    image, label = _pair(example)
    return image.unsqueeze(0), label.reshape(1)


def _pair(example: Any) -> tuple[Tensor, Tensor]:
    if not (isinstance(example, tuple | list) and len(example) >= 2):
        raise ImageError(
            f"expected pairs of images and labels from a data set or loader, "
            f"got {type(example).__name__}"
        )
    images, labels = example[:2]
    if not isinstance(images, Tensor):
        raise ImageError(
            f"expected images as tensors, got {type(images).__name__}; "
            "give the data set a transform such as torchvision's ToTensor"
        )
    return images.detach(), torch.as_tensor(labels, dtype=torch.int64, device=images.device)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Images, Labels]:
    if not parts:
        raise ImageError("expected at least one image, got none")
    images, labels = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(labels)

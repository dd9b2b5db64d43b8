"""Images and labels in whatever form they come: tensors, a data set, or a loader of batches."""

from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from steadygrad._typing import Images, Labels
from steadygrad.batch_pair import pair_kind, pair_of
from steadygrad.datasets import ImageDataset
from steadygrad.errors import ImageError, LabelError
from steadygrad.evaluation.image_rows import AnyImages, joined, rows_of_dataset

__all__ = ["ImageSource", "labelled_images", "labelled_rows"]

ImageSource: TypeAlias = Images | ImageDataset | Dataset[Any] | Iterable[Any]
"""Images, or what holds images and labels: our data set, torch's, or a loader of batches."""


def labelled_images(source: ImageSource, labels: Labels | None) -> tuple[Images, Labels]:
    """Return images (n, channels, height, width) and labels int64 (n,) as tensors.

    Args and errors: as ``labelled_rows``.
    """
    images, labels = labelled_rows(source, labels)
    return images if isinstance(images, Tensor) else images[:], labels


def labelled_rows(source: ImageSource, labels: Labels | None) -> tuple[AnyImages, Labels]:
    """Return images (n, channels, height, width) and labels int64 (n,).

    Tensors stay tensors. A data set or loader of more than 256 MiB of images is gone through once,
    and its images are read again, a batch at a time, when they are asked for (see ``joined``).

    Args:
        source: images as a tensor; an ``ImageDataset``; a torch ``Dataset`` or any
            other iterable of pairs (image, label); or one of batches (images, labels), such as a
            ``DataLoader``. Instead of a pair, a mapping with "pixel_values", "images" or "image",
            and "labels" or "label".
        labels: of images given as a tensor; None otherwise.

    Raises:
        LabelError: there are no labels, or they were given twice.
        ImageError: there is no image, an example is no pair, or images differ in size.
        OutputError: the temporary file cannot be written.
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
        return rows_of_dataset(source), source.labels
    if isinstance(source, Dataset) and isinstance(source, Sized):
        return joined(_examples(source, len(source)))
    return joined(_batch(part) for part in cast("Iterable[Any]", source))


def _batch(part: Any) -> tuple[Tensor, Tensor]:
    """Return a batch; one image with its label, of an ``IterableDataset``, is a batch of one."""
    images, labels = _pair(part)
    is_one = images.ndim == 3 and labels.ndim == 0
    return (images.unsqueeze(0), labels.reshape(1)) if is_one else (images, labels)


def _examples(source: Any, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    for index in range(count):
        yield _example(source[index])


def _example(example: Any) -> tuple[Tensor, Tensor]:
    image, label = _pair(example)
    return image.unsqueeze(0), label.reshape(1)


def _pair(example: Any) -> tuple[Tensor, Tensor]:
    pair = pair_of(example)
    if pair is None:
        raise ImageError(
            "expected pairs of images and labels from a data set or loader, or mappings with "
            "pixel_values, images or image, and labels or label, "
            f"got {pair_kind(example)}"
        )
    images, labels = pair
    if not isinstance(images, Tensor):
        raise ImageError(
            f"expected images as tensors, got {type(images).__name__}; "
            "give the data set a transform such as torchvision's ToTensor"
        )
    return images.detach(), torch.as_tensor(labels, dtype=torch.int64, device=images.device)

"""What loops of other libraries call a batch, and a pass over all of their training images."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from steadygrad.batch_pair import pair_kind, pair_of
from steadygrad.errors import LabelError

__all__ = ["images_and_labels", "whole_pass"]


def images_and_labels(batch: Any) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a batch.

    Args:
        batch: a tuple or list that begins with both, or a mapping with "pixel_values", "images" or
            "image", and "labels" or "label"; whatever else it holds is left alone.

    Raises:
        LabelError: there is no such pair of tensors.
    """
    pair = pair_of(batch)
    if pair is None or not all(isinstance(item, Tensor) for item in pair):
        raise LabelError(
            "expected batches (images, labels, ...), or mappings with pixel_values, images or "
            f"image, and labels or label, got {pair_kind(batch)}; a LightningModule can have a "
            "method images_and_labels(batch) of its own that returns both"
        )
    return pair


def whole_pass(loader: Iterable[Any]) -> Iterator[Any]:
    """Return one pass over everything that a loader would give to all processes together.

    A loader under a distributed sampler gives each process its share. What is taken of the images,
    such as their covariance, has to be the same everywhere, so that each process reads them all, in
    the stored order and with the same draws of torch's generator. The loop's own order and draws
    stay as they were.

    Args:
        loader: one over an iterable data set, or that is no DataLoader, is read as it is.
    """
    data: Any = getattr(loader, "dataset", None)
    collate = getattr(loader, "collate_fn", None)
    size = getattr(loader, "batch_size", None) or 64
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        if collate is None or isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
            yield from loader
        else:
            workers = getattr(loader, "num_workers", 0)
            yield from DataLoader(data, size, collate_fn=collate, num_workers=workers)

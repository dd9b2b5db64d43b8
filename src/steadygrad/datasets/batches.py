"""Cutting a split into batches, in an order that is a function of a seed alone."""

from collections.abc import Iterator

import torch

from steadygrad._typing import Images, Labels
from steadygrad.datasets.image_dataset import ImageDataset
from steadygrad.errors import HyperparameterError

__all__ = ["batches"]


def batches(
    dataset: ImageDataset, batch_size: int, *, shuffle_seed: int | None, start: int = 0
) -> Iterator[tuple[Images, Labels]]:
    """Yield (float32 images in [0, 1], labels) on the set's device, each example once.

    batch_size: at least 1; the last batch holds what remains.
    shuffle_seed: the whole order follows from it, on every device; None keeps the stored order.
    start: batches to leave out, from 0 to their number: a resumed epoch gets exactly the batches
        that the uninterrupted one would have got.
    Raises: HyperparameterError.
    """
    if batch_size < 1:
        raise HyperparameterError(f"expected batch_size >= 1, got {batch_size}")
    count = -(-len(dataset) // batch_size)
    if not 0 <= start <= count:
        raise HyperparameterError(f"expected start from 0 to {count} batches, got {start}")
    return _cut(dataset, batch_size, shuffle_seed, range(start, count))


def _cut(
    dataset: ImageDataset, batch_size: int, shuffle_seed: int | None, positions: range
) -> Iterator[tuple[Images, Labels]]:
    # A function of its own, so that the checks above run at the call and not at the first batch.
    order = None
    if shuffle_seed is not None:
        # Drawn on the CPU: the same seed gives the same order on every device.
        generator = torch.Generator().manual_seed(shuffle_seed)
        order = torch.randperm(len(dataset), generator=generator).to(dataset.device)
    for position in positions:
        cut = slice(position * batch_size, (position + 1) * batch_size)
        indices = cut if order is None else order[cut]
        yield dataset.images(indices), dataset.labels[indices]

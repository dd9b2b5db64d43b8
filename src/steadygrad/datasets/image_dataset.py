"""One split of a labelled image set in memory or on a device, its batches and its division."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.checks import check_batch_size
from steadygrad.errors import DatasetError, HyperparameterError

__all__ = ["ImageDataset", "batches", "stratified_split"]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Pixels and labels of one split.

    name, split: where it came from, for logs and results files.
    pixels: ``(N, channels, height, width)``, uint8 in 0..255 or float32 in [0, 1]. Bytes stay
        bytes, on the device too: a quarter of the memory, and scaled only when a batch is cut.
    labels: ``(N,)`` int64, class indices in [0, num_classes).
    class_names: one per class, in the order of the indices.
    note: what a reader of results on this set has to know; empty where there is nothing.
    Raises: DatasetError, if pixels and labels do not fit together or a label names no class.
    """

    name: str
    split: str
    pixels: Tensor = field(repr=False)
    labels: Labels = field(repr=False)
    class_names: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        where = f"the {self.split} split of {self.name}"
        if self.pixels.ndim != 4 or self.pixels.numel() == 0:
            raise DatasetError(
                f"expected images (N, channels, height, width) in {where}, "
                f"got shape {tuple(self.pixels.shape)}"
            )
        if self.pixels.dtype not in (torch.uint8, torch.float32):
            raise DatasetError(
                f"expected uint8 or float32 pixels in {where}, got {self.pixels.dtype}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise DatasetError(
                f"expected {len(self.pixels)} int64 labels in {where}, "
                f"got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        outside = (self.labels < 0) | (self.labels >= self.num_classes)
        if outside.any():
            index = int(outside.nonzero()[0])
            raise DatasetError(
                f"expected labels from 0 to {self.num_classes - 1} in {where}, "
                f"got {int(self.labels[index])} at index {index}"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """How many classes the set has; a small split need not hold all of them."""
        return len(self.class_names)

    @property
    def device(self) -> torch.device:
        """Where pixels and labels lie."""
        return self.pixels.device

    def images(self, indices: Tensor | slice | None = None) -> Images:
        """Return the chosen images, or all, as float32 in [0, 1] on the set's device."""
        chosen = self.pixels if indices is None else self.pixels[indices]
        return chosen.to(torch.float32) / 255 if chosen.dtype == torch.uint8 else chosen

    def to(self, device: torch.device | str) -> "ImageDataset":
        """Return the same split on a device; bytes stay bytes."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def with_channels(self, channels: int) -> "ImageDataset":
        """Return a grey set as one of so many equal channels: how a colour set holds grey images.

        For a split that is grey where ``train`` has colour. Any other set is returned as it is.
        """
        if self.pixels.shape[1] != 1:
            return self
        return replace(self, pixels=self.pixels.expand(-1, channels, -1, -1).contiguous())

    def first(self, n: int) -> "ImageDataset":
        """Return the first ``n`` images in stored order, or all if there are fewer.

        Raises: HyperparameterError, if ``n`` < 1.
        """
        if n < 1:
            raise HyperparameterError(f"expected a limit of at least 1 image, got {n}")
        return self if n >= len(self) else self.subset(slice(n))

    def subset(self, indices: Tensor | slice) -> "ImageDataset":
        """Return the chosen images, in the order of ``indices``.

        Raises: DatasetError, if nothing is chosen.
        """
        return replace(self, pixels=self.pixels[indices], labels=self.labels[indices])


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
    check_batch_size(batch_size)
    count = -(-len(dataset) // batch_size)
    if not 0 <= start <= count:
        raise HyperparameterError(f"expected start from 0 to {count} batches, got {start}")
    return _cut(dataset, batch_size, shuffle_seed, range(start, count))


def stratified_split(labels: Tensor, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of (what remains, what is held out), each in increasing order.

    labels: ``(N,)`` class indices. held_out: how many to take, from 0 to N.
    Each class gives ``held_out * count / N`` examples, rounded down; those still missing come
    from the classes with the largest remainders, the lower class index first among equals.
    """
    # RandomState and not torch: its stream is frozen, so a split means the same images in every
    # version of every library.
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels.cpu().numpy(), return_counts=True)
    quotas, remainders = np.divmod(counts.astype(np.int64) * held_out, max(len(labels), 1))
    missing = held_out - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:missing]] += 1

    chosen = np.zeros(len(labels), dtype=bool)
    for label, quota in zip(classes, quotas, strict=True):
        members = np.flatnonzero(labels.cpu().numpy() == label)
        chosen[random.permutation(members)[:quota]] = True
    return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))


def _cut(
    dataset: ImageDataset, batch_size: int, shuffle_seed: int | None, positions: range
) -> Iterator[tuple[Images, Labels]]:
    # A function of its own, so that the checks above run at the call and not at the first batch.
    order = None
    if shuffle_seed is not None:
        # Drawn on the CPU: the same seed gives the same order on every device.
        generator = torch.Generator("cpu").manual_seed(shuffle_seed)
        order = torch.randperm(
            len(dataset), generator=generator, device="cpu", dtype=torch.int64
        ).to(dataset.device)
    for position in positions:
        cut = slice(position * batch_size, (position + 1) * batch_size)
        indices = cut if order is None else order[cut]
        yield dataset.images(indices), dataset.labels[indices]

"""Where a loader's batches come from: memory, rows at random places, or a stream of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from steadygrad.datasets.decoding import Framing, decode_image
from steadygrad.datasets.image_dataset import ImageDataset, batches
from steadygrad.datasets.image_table import Rows, encoded_image
from steadygrad.errors import DatasetError

__all__ = [
    "AUGMENTATION",
    "BatchSource",
    "ResidentBatches",
    "RowDecoder",
    "StreamedBatches",
    "WorkerBatches",
    "derived_seed",
]

ORDER, CROP, AUGMENTATION = range(3)
"""What random numbers are drawn for: each purpose has a stream of its own."""
PREFETCH = 2
"""Batches that each worker keeps ready."""

Batch: TypeAlias = tuple[Tensor, Tensor]
"""Pixels, uint8 or float32, shape (batch, channels, height, width), and labels, int64."""
Plan: TypeAlias = tuple[int, list[int]]
"""An epoch's number and the rows of one of its batches."""


def derived_seed(*numbers: int) -> int:
    """Return a seed that follows from the numbers, each at least 0, the same everywhere."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class BatchSource(Protocol):
    """Epochs of batches, each a function of its number."""

    @property
    def batch_count(self) -> int | None:
        """The batches of an epoch; None if it is not known."""

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``start`` on.

        Raises:
            DatasetError: an image is damaged.
        """


class ResidentBatches:
    """Batches of a set in memory."""

    def __init__(self, dataset: ImageDataset, batch_size: int, shuffle_seed: int | None) -> None:
        self._dataset, self._batch_size, self._shuffle_seed = dataset, batch_size, shuffle_seed

    @property
    def batch_count(self) -> int:
        """The batches of an epoch."""
        return -(-len(self._dataset) // self._batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``start`` on."""
        seed = self._shuffle_seed
        order = None if seed is None else derived_seed(seed, ORDER, epoch)
        return batches(self._dataset, self._batch_size, shuffle_seed=order, start=start)


@dataclass(frozen=True)
class RowDecoder:
    """Turns rows into batches, in a worker or in the calling process.

    Args:
        rows: the split.
        where: names it in messages.
        num_classes: labels are below it.
        channels: of every image.
        framing: brings images to one size; None for images that have one.
        seed: of random crops.
    """

    rows: Rows
    where: str
    num_classes: int
    channels: int
    framing: Framing | None
    seed: int

    def batch(
        self, images: Sequence[Any], labels: Sequence[Any], keys: Sequence[tuple[int, ...]]
    ) -> Batch | DatasetError:
        """Return a batch, or the error: raised in a worker, it would arrive as a traceback.

        Args:
            images: undecoded, as ``datasets`` holds them.
            labels: as they are stored.
            keys: what each image's random crop follows from; its number comes last.
        """
        try:
            numbered = list(zip(images, keys, strict=True))
            pixels = [self._pixels(image, key) for image, key in numbered]
            indices = [self._index(label, key[-1]) for label, key in zip(labels, keys, strict=True)]
        except DatasetError as error:
            return DatasetError(str(error))
        sizes = sorted({f"{array.shape[0]}x{array.shape[1]}" for array in pixels})
        if len(sizes) > 1:
            return DatasetError(
                f"expected images of one size in {self.where}, got {sizes[0]} and {sizes[1]}; "
                "give an image_size, to which they are scaled and cropped"
            )
        stacked = torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).copy())
        return stacked, torch.tensor(indices, dtype=torch.int64, device="cpu")

    def labels(self, numbers: Tensor) -> Tensor:
        """Return the class indices of rows, without reading their images.

        Raises:
            DatasetError: a label is missing or names no class.
        """
        stored = list(self.rows.data.select_columns(["label"])[:]["label"])
        indices = [self._index(stored[number], number) for number in numbers.tolist()]
        return torch.tensor(indices, dtype=torch.int64, device="cpu")

    def _index(self, label: Any, number: int) -> int:
        index = label if self.rows.indices is None else self.rows.indices.get(label)
        if not isinstance(index, int) or not 0 <= index < self.num_classes:
            raise DatasetError(
                f"expected labels of {self.num_classes} classes in {self.where}, "
                f"got {label!r} in image {number}"
            )
        return index

    def _pixels(self, image: Any, key: tuple[int, ...]) -> Any:
        encoded = encoded_image(image)

        def name() -> str:
            return f"{encoded if isinstance(encoded, str) else f'image {key[-1]}'} of {self.where}"

        if encoded is None:
            raise DatasetError(f"cannot read {name()}: it has no bytes")
        draws = None
        if self.framing is not None and self.framing.smallest_area < 1:
            sequence = np.random.SeedSequence([self.seed, CROP, *key])
            draws = np.random.Generator(np.random.PCG64(sequence))
        return decode_image(
            encoded, name, framing=self.framing, channels=self.channels, draws=draws
        )


class WorkerBatches:
    """Batches of rows that can be read at any place, decoded by workers.

    Args:
        decoder: the split's rows.
        numbers: those that belong to the set, in order.
        batch_size: rows of a batch.
        workers: processes; 0 for none.
        shuffle_seed: None keeps the order.
        device: where the batches will go.
    """

    def __init__(
        self,
        decoder: RowDecoder,
        numbers: Tensor,
        batch_size: int,
        workers: int,
        shuffle_seed: int | None,
        device: torch.device,
    ) -> None:
        self._numbers, self._batch_size = numbers, batch_size
        self._shuffle_seed, self._plans = shuffle_seed, _Plans()
        self._loader = _loader(_PlannedBatches(decoder), workers, device, self._plans)

    @property
    def batch_count(self) -> int:
        """The batches of an epoch."""
        return -(-len(self._numbers) // self._batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``start`` on."""
        order = self._numbers
        if self._shuffle_seed is not None:
            # Drawn here and not in the workers: the order does not depend on their number.
            generator = torch.Generator("cpu")
            generator.manual_seed(derived_seed(self._shuffle_seed, ORDER, epoch))
            places = torch.randperm(
                len(order), generator=generator, device="cpu", dtype=torch.int64
            )
            order = order[places]
        numbers, size = order.tolist(), self._batch_size
        firsts = range(start * size, len(numbers), size)
        return self._epoch([(epoch, numbers[first : first + size]) for first in firsts])

    def _epoch(self, plans: list[Plan]) -> Iterator[Batch]:
        self._plans.of_epoch = plans
        for batch in _unpacked(self._loader, skip=0):
            yield batch
            if self._plans.of_epoch is not plans:
                # The workers serve one epoch at a time.
                raise DatasetError(
                    "another epoch of this loader was begun before this one ended; "
                    "use a loader for each"
                )


class StreamedBatches:
    """Batches of a stream of rows, whose shards the workers share.

    Args:
        decoder: the split's rows.
        count: how many they are.
        batch_size: rows of a batch; each worker's last may have fewer.
        workers: processes; 0 for none. No more than there are shards are started.
        shuffle_seed: None keeps the order.
        buffer_size: rows that each worker holds to shuffle them.
        device: where the batches will go.
    """

    def __init__(
        self,
        decoder: RowDecoder,
        count: int,
        batch_size: int,
        workers: int,
        shuffle_seed: int | None,
        buffer_size: int,
        device: torch.device,
    ) -> None:
        self._decoder, self._count, self._batch_size = decoder, count, batch_size
        self._workers = min(workers, decoder.rows.data.num_shards)
        self._shuffle_seed, self._buffer_size = shuffle_seed, buffer_size
        self._device = device

    @property
    def batch_count(self) -> int | None:
        """The batches of an epoch; None with several workers."""
        return -(-self._count // self._batch_size) if self._workers < 2 else None

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from ``start`` on; those before are read, not decoded."""
        rows = self._decoder.rows.data
        if self._shuffle_seed is not None:
            order = derived_seed(self._shuffle_seed, ORDER, epoch)
            rows = rows.shuffle(seed=order, buffer_size=self._buffer_size)
        # Each worker hands out at least this many of the batches before ``start``, or ends.
        skipped = start // max(self._workers, 1)
        stream = _StreamedRows(self._decoder, rows, self._batch_size, epoch, skipped)
        return _unpacked(_loader(stream, self._workers, self._device), skip=start)


class _Plans(Sampler[Plan]):
    """The batches of the epoch in progress."""

    def __init__(self) -> None:
        self.of_epoch: list[Plan] = []

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.of_epoch)

    def __len__(self) -> int:
        return len(self.of_epoch)


class _PlannedBatches(Dataset[Any]):
    """What a worker does with a plan."""

    def __init__(self, decoder: RowDecoder) -> None:
        self._decoder = decoder

    def __getitem__(self, plan: Plan) -> Batch | DatasetError:
        epoch, numbers = plan
        rows = self._decoder.rows.data[numbers]
        keys = [(epoch, number) for number in numbers]
        return self._decoder.batch(rows["image"], rows["label"], keys)


class _StreamedRows(IterableDataset[Any]):
    """What a worker does with its shards of a stream; None stands for a batch left out."""

    def __init__(
        self, decoder: RowDecoder, rows: Any, batch_size: int, epoch: int, skipped: int
    ) -> None:
        self._decoder, self._rows, self._batch_size = decoder, rows, batch_size
        self._epoch, self._skipped = epoch, skipped

    def __iter__(self) -> Iterator[Batch | DatasetError | None]:
        worker = get_worker_info()
        number = 0 if worker is None else worker.id
        held: list[Any] = []
        position = 0
        try:
            for row in self._rows:
                held.append(row)
                if len(held) == self._batch_size:
                    yield self._batch(held, position, number)
                    held, position = [], position + 1
            if held:
                yield self._batch(held, position, number)
        except DatasetError as error:
            yield DatasetError(str(error))

    def _batch(self, rows: list[Any], position: int, worker: int) -> Batch | DatasetError | None:
        if position < self._skipped:
            return None
        first = position * self._batch_size
        keys = [(self._epoch, worker, first + index) for index in range(len(rows))]
        images, labels = ([row[column] for row in rows] for column in ("image", "label"))
        return self._decoder.batch(images, labels, keys)


def _loader(
    dataset: Dataset[Any], workers: int, device: torch.device, plans: _Plans | None = None
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        sampler=plans,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        # A stream's workers must learn of the next epoch, so they start anew.
        persistent_workers=workers > 0 and plans is not None,
        prefetch_factor=PREFETCH if workers else None,
        pin_memory=device.type == "cuda",
        # Without one, the loader would draw from the global generator.
        generator=torch.Generator("cpu"),
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _unpacked(loader: DataLoader[Any], *, skip: int) -> Iterator[Batch]:
    """Yield a loader's batches after the first ``skip``; raise the error that a worker returned."""
    with torch.device("cpu"):  # the loader makes a tensor on the default device and reads it
        found = iter(loader)
    for position, batch in enumerate(found):
        if isinstance(batch, DatasetError):
            raise batch
        if position >= skip:
            yield batch

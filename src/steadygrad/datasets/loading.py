"""Loading a split of an image set: whole into memory, or batch by batch by workers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.datasets.augmentation import AugmentationStep, augment
from steadygrad.datasets.batch_source import (
    AUGMENTATION,
    BatchSource,
    ResidentBatches,
    RowDecoder,
    StreamedBatches,
    WorkerBatches,
    derived_seed,
)
from steadygrad.datasets.decoding import Framing, Interpolation
from steadygrad.datasets.image_dataset import ImageDataset, stratified_split
from steadygrad.datasets.image_table import unknown_split
from steadygrad.datasets.registry import NamedImages
from steadygrad.datasets.sources import DataSource, check_limit, data_source, with_settings
from steadygrad.errors import DatasetError, HyperparameterError

__all__ = ["ImageLoader", "Split", "image_loader", "load_dataset"]

Split: TypeAlias = Literal["train", "test", "validation"]
"""Part of a data set; ``validation`` is cut from the training set."""


def load_dataset(
    source: DataSource | str | Mapping[str, Any],
    split: Split = "train",
    *,
    data_dir: Path | str | None = None,
    limit: int | None = None,
    image_size: int | None = None,
    validation_size: int = 0,
    seed: int = 0,
    cache: bool = True,
) -> ImageDataset:
    """Return one split of an image set, for sets that fit in memory; see ``image_loader``.

    Args:
        source: a data set as object, table or text, decided in this order: a name, with settings
            (``mnist``, ``folder:PATH``, ``parquet:PATH``, ``hub:OWNER/NAME``); the path of a
            folder, or the name of one in ``data_dir``: of parquet files (``train-*.parquet``,
            ``test-*.parquet`` with columns ``image`` or ``img``, and ``label``; directly or in a
            folder ``data`` inside), or of image files (``train/<class>/``, ``test/<class>/``).
        split: which part of the set.
        data_dir: holds named sets as ``data_dir/<name>/{train,test}-*.parquet``, or is itself the
            folder of the one asked for. Without it they come from the Hugging Face hub, which keeps
            what it has downloaded. ``digits`` needs neither.
        limit: only the first so many images of the split in stored order, or all if there are
            fewer.
        image_size: scale each image's shorter side to so many pixels and cut out the middle square;
            None takes images as they are, all of one size.
        validation_size: so many examples are cut from ``train``, every class in its proportion, and
            make up ``validation``; which ones follows from ``seed``. With 0, ``validation`` is the
            one that a folder of one's own may hold.
        seed: of that division.
        cache: keep a decoded copy in the user's cache folder (``cache_folder()``) and use it.

    Raises:
        UnknownNameError: no set has that name.
        HyperparameterError: a setting means nothing.
        DatasetError: something is missing or damaged.
    """
    _check_split(split)
    check_limit(limit)
    if validation_size < 0:
        raise HyperparameterError(f"expected validation_size >= 0, got {validation_size}")
    found = data_source(source, data_dir)
    if image_size is not None:
        found = with_settings(found, image_size=image_size)
    if validation_size == 0 or split == "test":
        if limit is not None and hasattr(found, "limit"):  # no more need be decoded
            found = with_settings(found, limit=min(limit, found.limit or limit))
        dataset = _whole(found, split, cache)
        return dataset if limit is None else dataset.first(limit)
    dataset = _whole(found, "train", cache)
    part = _part(dataset.labels, split, validation_size, seed, dataset.name)
    dataset = replace(dataset.subset(part), split=split)
    return dataset if limit is None else dataset.first(limit)


def _whole(source: DataSource, split: str, cache: bool) -> ImageDataset:
    """Return a split as its source loads it.

    Raises:
        DatasetError: as ``DataSource.load``, or it loads something else than an ``ImageDataset``.
    """
    loaded: object = source.load(split, cache=cache)
    if isinstance(loaded, ImageDataset):
        return loaded
    raise DatasetError(
        f"expected the data set {source.title} to load an ImageDataset, got {type(loaded).__name__}"
    )


class ImageLoader:
    """Epochs of (images, labels) batches; made by ``image_loader``.

    ``for images, labels in loader`` goes through the next epoch, also after a loop that was left
    early. ``state_dict`` tells the place where the loop is or stopped, and after
    ``load_state_dict`` the next one goes on from there with the very batches that an uninterrupted
    one would have got; so does ``epoch(number, start)``, which keeps no state.

    Attributes:
        title: the set's name.
        split: the part of it.
        class_names: in the order of the labels; compare them with the order that a model was
            trained on.
        num_images: how many images an epoch has.
        note: what a reader of results on this set has to know.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        title: str,
        split: str,
        class_names: tuple[str, ...],
        num_images: int,
        note: str,
        seed: int,
        steps: Sequence[AugmentationStep],
        device: torch.device,
    ) -> None:
        self.title, self.split, self.class_names = title, split, class_names
        self.num_images, self.note = num_images, note
        self._source, self._seed, self._steps, self._device = source, seed, tuple(steps), device
        self._epoch = self._batch = 0
        self._goes_on = False  # the next loop, from the place that was loaded

    @property
    def num_classes(self) -> int:
        """How many classes the set has."""
        return len(self.class_names)

    def __len__(self) -> int:
        """Return the batches of an epoch.

        Raises:
            TypeError: several workers share a stream, and how is not known before.
        """
        count = self._source.batch_count
        if count is None:
            raise TypeError("the number of batches of a stream with several workers is not known")
        return count

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Images, Labels]]:
        """Yield the batches of an epoch from batch ``start`` on.

        Args:
            number: at least 0; decides, with the seed, on the order and on every random change.
            start: batches to leave out.

        Yields:
            Images, float32 in [0, 1], shape (batch, channels, height, width), and labels, int64.

        Raises:
            HyperparameterError: a number is negative, or ``start`` above the number of batches.
            DatasetError: an image is damaged.
        """
        count = self._source.batch_count
        if number < 0:
            raise HyperparameterError(f"expected an epoch >= 0, got {number}")
        if start < 0 or (count is not None and start > count):
            most = "" if count is None else f" to {count} batches"
            raise HyperparameterError(f"expected start from 0{most}, got {start}")
        return self._batches(number, start)

    def _batches(self, number: int, start: int) -> Iterator[tuple[Images, Labels]]:
        for position, (pixels, labels) in enumerate(self._source.batches(number, start), start):
            images = pixels.to(self._device, non_blocking=True)
            if images.dtype == torch.uint8:
                images = images.to(torch.float32) / 255
            if self._steps:
                generator = torch.Generator(self._device)
                generator.manual_seed(derived_seed(self._seed, AUGMENTATION, number, position))
                images = augment(images, self._steps, generator)
            yield images, labels.to(self._device, non_blocking=True)

    def __iter__(self) -> Iterator[tuple[Images, Labels]]:
        if self._batch > 0 and not self._goes_on:  # the last loop was left early
            self._epoch, self._batch = self._epoch + 1, 0
        self._goes_on = False
        for batch in self.epoch(self._epoch, self._batch):
            self._batch += 1
            yield batch
        self._epoch, self._batch = self._epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and how many of its batches were handed out."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Let the next loop begin at the place that ``state_dict`` told."""
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])
        self._goes_on = True


def image_loader(
    source: DataSource | str | Mapping[str, Any],
    split: Split = "train",
    *,
    batch_size: int,
    image_size: int | None = None,
    shorter_side: int | None = None,
    smallest_area: float = 1.0,
    interpolation: Interpolation = "bilinear",
    channels: int | None = None,
    augmentation: Sequence[AugmentationStep] = (),
    workers: int = 0,
    shuffle: bool | None = None,
    seed: int = 0,
    streaming: bool = False,
    buffer_size: int = 1000,
    data_dir: Path | str | None = None,
    limit: int | None = None,
    validation_size: int = 0,
    device: torch.device | str = "cpu",
) -> ImageLoader:
    """Return a loader that reads, decodes, scales and crops images while they are needed.

    Memory holds a few batches, whatever the set's size. Sets without files of their own come whole
    from memory, with the same interface.

    Args:
        source: as ``load_dataset``'s.
        split: which part of the set.
        batch_size: at least 1; the last batch holds what remains.
        image_size: the images become squares of so many pixels: the shorter side is scaled, the
            middle cut out. None for sets of one size.
        shorter_side: its length before the middle is cut out; None for ``image_size``. Networks
            trained at 224 pixels are often evaluated with 256.
        smallest_area: below 1, a random part of at least that share of the area is cut out instead
            of the middle, as in training on ImageNet (0.08).
        interpolation: "bilinear" or "bicubic".
        channels: 1 (luminance) or 3; None for a named set's own, else 3.
        augmentation: steps for each batch, on ``device``.
        workers: processes that decode; 0 decodes in this one. The batches do not depend on it,
            except those of a stream, whose shards the workers share.
        shuffle: None shuffles ``train``.
        seed: decides the order and every random change, with the number of the epoch; at least 0.
        streaming: read the set in its own order, shuffled within ``buffer_size`` images and by
            shards, instead of at random places: for sets that fit no disk. Parquet and hub sets
            then need no copy.
        buffer_size: encoded images that each worker holds to shuffle a stream.
        data_dir: as ``load_dataset``'s.
        limit: only the first so many images of the split; not of a stream.
        validation_size: as ``load_dataset``'s, with the same images for the same seed; not of a
            stream.
        device: where the batches arrive.

    Raises:
        UnknownNameError: no set has that name.
        HyperparameterError: a setting means nothing.
        DatasetError: something is missing or damaged.
    """
    _check_split(split)
    check_limit(limit)
    for name, value, lowest in (
        ("batch_size", batch_size, 1),
        ("workers", workers, 0),
        ("seed", seed, 0),
        ("buffer_size", buffer_size, 1),
        ("validation_size", validation_size, 0),
    ):
        if value < lowest:
            raise HyperparameterError(f"expected {name} >= {lowest}, got {value}")
    if channels not in (None, 1, 3):
        raise HyperparameterError(f"expected channels 1 or 3, got {channels}")
    found = data_source(source, data_dir)
    image_size = image_size if image_size is not None else getattr(found, "image_size", None)
    if image_size is None and (shorter_side is not None or smallest_area != 1):
        raise HyperparameterError("expected image_size beside shorter_side or smallest_area")
    framing = None
    if image_size is not None:
        framing = Framing(image_size, shorter_side, smallest_area, interpolation)
    stored: Split = "train" if validation_size and split != "test" else split
    own_limit = getattr(found, "limit", None)
    if streaming and (limit or own_limit or stored != split or validation_size):
        raise HyperparameterError("a stream takes no limit and no validation_size")
    shuffle_seed = seed if (split == "train" if shuffle is None else shuffle) else None
    place = torch.device(device)
    table = found.table(stored, streaming=streaming)
    batches: BatchSource
    if table is None:
        if streaming or channels is not None or shorter_side is not None or smallest_area < 1:
            raise HyperparameterError(
                f"{found.title} is prepared in memory and takes no streaming, channels, "
                "shorter_side or smallest_area"
            )
        dataset = load_dataset(
            found,
            split,
            limit=limit,
            image_size=image_size,
            validation_size=validation_size,
            seed=seed,
        )
        batches = ResidentBatches(dataset.to(place), batch_size, shuffle_seed)
        return ImageLoader(
            batches,
            title=dataset.name,
            split=split,
            class_names=dataset.class_names,
            num_images=len(dataset),
            note=dataset.note,
            seed=seed,
            steps=augmentation,
            device=place,
        )
    if stored not in table.splits:
        raise unknown_split(table, stored)
    if channels is None:
        channels = found.entry.input_shape[0] if isinstance(found, NamedImages) else 3
    count = table.count(stored)
    decoder = RowDecoder(
        table.rows(stored, streaming=streaming),
        f"the {stored} split of {table.title} in {table.place}",
        len(table.class_names),
        channels,
        framing,
        seed,
    )
    if streaming:
        batches = StreamedBatches(
            decoder, count, batch_size, workers, shuffle_seed, buffer_size, place
        )
    else:
        indices = torch.arange(count, dtype=torch.int64, device="cpu")[:own_limit]
        if validation_size and split != "test":
            indices = _part(decoder.labels(indices), split, validation_size, seed, table.title)
        indices = indices[:limit]
        count = len(indices)
        batches = WorkerBatches(decoder, indices, batch_size, workers, shuffle_seed, place)
    return ImageLoader(
        batches,
        title=table.title,
        split=split,
        class_names=table.class_names,
        num_images=count,
        note="; ".join(table.notes(stored)),
        seed=seed,
        steps=augmentation,
        device=place,
    )


def _part(labels: Tensor, split: str, validation_size: int, seed: int, title: str) -> Tensor:
    """Return the rows of ``train`` that remain, or of the ``validation`` cut from it."""
    if validation_size >= len(labels):
        raise HyperparameterError(
            f"expected validation_size below the {len(labels)} training images of {title}, "
            f"got {validation_size}"
        )
    train, validation = stratified_split(labels, validation_size, seed)
    return train if split == "train" else validation


def _check_split(split: str) -> None:
    """Refuse what is no split.

    Raises:
        HyperparameterError: for such a name.
    """
    if split not in get_args(Split):
        raise HyperparameterError(f"expected split {', '.join(get_args(Split))}, got {split!r}")

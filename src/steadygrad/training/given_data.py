"""Images that a Python program gave: sets in memory, and anyone's loader."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.batch_pair import pair_kind, pair_of
from steadygrad.checks import check_images, check_labels
from steadygrad.datasets import DATA_SOURCES, ImageDataset, ImageLoader, batches
from steadygrad.errors import DatasetError
from steadygrad.seeds import derive_seed

__all__ = ["GivenImages", "LoaderImages", "TrainingImages", "epoch_batches", "stated_class_names"]


class LoaderImages:
    """A loader as a training set: epochs of batches that are never in memory together.

    Args:
        loader: yields (images, labels, ...) or mappings with both (``batch_pair``), images float32
            in [0, 1] of one size, labels int64; its length is the number of batches. A
            ``torch.utils.data.DataLoader`` or an ``image_loader``. Its random draws follow from the
            epoch's seed, as far as they come from torch's global generator; a sampler with
            ``set_epoch`` is told the epoch. What persistent workers draw does not: torch seeds them
            once, so that a resumed run meets other draws. Each of several processes reads the whole
            batches.
        num_classes: of the labels; None asks the loader for ``class_names``, or its data set for
            ``classes``, which name the classes where they are as many.
        name: for messages and results.

    Raises:
        DatasetError: it has no length, is empty, yields something else, or does not say how many
            classes there are.
    """

    split, note = "train", ""

    def __init__(
        self, loader: Iterable[Any], num_classes: int | None = None, name: str = ""
    ) -> None:
        self.loader, self.device = loader, torch.device("cpu")
        owner: Any = getattr(loader, "dataset", loader)
        self.name = name or str(getattr(loader, "title", type(owner).__name__))
        names = stated_class_names(loader)
        if num_classes is not None and len(names) != num_classes:
            names = tuple(map(str, range(num_classes)))
        if not names:
            raise DatasetError(
                f"expected the number of classes of {self.name} (num_classes=...), which the "
                "loader does not state"
            )
        self.class_names = names
        try:
            self.steps_per_epoch = len(loader)  # type: ignore[arg-type]
        except TypeError as error:
            raise DatasetError(
                f"expected a loader with a length, which schedules need; {self.name} has none"
            ) from error
        first = next(iter(self.batches(0)), None)
        if first is None:
            raise DatasetError(f"expected images in {self.name}, got an empty loader")
        images, labels = first
        check_images(images)
        self._example = images[:1].clone()
        check_labels(labels, len(images), self.num_classes)
        channels, height, width = images.shape[1:]
        self.input_shape = (int(channels), int(height), int(width))
        self._size = int(getattr(loader, "num_images", 0)) or _size(owner)
        self._size = self._size or self.steps_per_epoch * len(images)

    def __len__(self) -> int:
        return self._size

    @property
    def num_classes(self) -> int:
        """How many classes the set has."""
        return len(self.class_names)

    @property
    def example(self) -> Images:
        """One image, as a batch."""
        return self._example.to(self.device)

    @property
    def cut(self) -> tuple[int, int] | None:
        """How many images an epoch has, and a batch; None where the loader does not say."""
        size = getattr(self.loader, "batch_size", None)
        if not isinstance(size, int) or getattr(self.loader, "drop_last", False):
            return None
        sampler = getattr(self.loader, "sampler", None)
        return _size(sampler) or len(self), size

    def to(self, device: torch.device | str) -> "LoaderImages":
        """Send batches to a device from now on."""
        self.device = torch.device(device)
        return self

    def refuse_parts(self) -> None:
        """Refuse a loader that gives each of several processes a part of every epoch.

        The processes divide the batches themselves: images of other parts would never be seen.

        Raises:
            DatasetError: it is one.
        """
        for sampler in _samplers(self.loader):
            # As torch's DistributedSampler and accelerate's shards of a loader call it.
            counts = [getattr(sampler, key, None) for key in ("num_replicas", "num_processes")]
            parts = max(count or 1 for count in counts)
            if parts > 1:
                raise DatasetError(
                    f"expected the loader of {self.name} without {type(sampler).__name__}, which "
                    f"gives each of {parts} processes other images: every process reads the whole "
                    "batch, and takes its part of it"
                )

    def batches(
        self, seed: int, start: int = 0, *, epoch: int = 0
    ) -> Iterator[tuple[Images, Labels]]:
        """Yield an epoch from batch ``start`` on; it follows from ``seed`` and its number.

        epoch: from 0, for samplers with ``set_epoch``.
        """
        if isinstance(self.loader, ImageLoader):
            pairs = self.loader.epoch(seed % (1 << 31), start)
            yield from ((x.to(self.device), y.to(self.device)) for x, y in pairs)
            return
        own = getattr(self.loader, "generator", None)
        if isinstance(own, torch.Generator):
            own.manual_seed(seed)
        for sampler in _samplers(self.loader):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        iterator: Iterator[Any] | None = None
        position = 0
        while True:
            # Each batch's draws come from a seed of its own, so that a resumed epoch meets the
            # batches that an uninterrupted one would have met, and dropout its own stream.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(seed, f"batch {position}"))
                iterator = iter(self.loader) if iterator is None else iterator
                batch = next(iterator, None)
            if batch is None:
                return
            if position >= start:
                images, labels = _pair(batch, self.name)
                yield images.to(self.device), labels.to(self.device)
            position += 1

    def collected(self, limit: int) -> ImageDataset:
        """Return the first ``limit`` images in memory, on the CPU."""
        held: list[tuple[Tensor, Tensor]] = []
        count = 0
        for images, labels in self.batches(0):
            # Copies: a loader may fill the same memory again.
            held.append((images.cpu().clone(), labels.cpu().clone()))
            count += len(images)
            if count >= limit:
                break
        pixels = torch.cat([images for images, _ in held])[:limit].float()
        labels = torch.cat([labels for _, labels in held])[:limit]
        return ImageDataset(self.name, self.split, pixels, labels, self.class_names, self.note)


def stated_class_names(loader: Any) -> tuple[str, ...]:
    """Return the names of the classes that a loader or its data set states; none if it does not."""
    given: Any = getattr(loader, "class_names", None)
    if given is None:
        given = getattr(getattr(loader, "dataset", loader), "classes", None)
    if isinstance(given, Tensor | np.ndarray):
        given = given.tolist()
    is_named = isinstance(given, Sequence) and not isinstance(given, str)
    return tuple(map(str, given)) if is_named else ()


TrainingImages: TypeAlias = ImageDataset | LoaderImages
"""What a run can train on and be measured on."""


def epoch_batches(
    images: TrainingImages, batch_size: int, *, seed: int | None, start: int = 0, epoch: int = 0
) -> Iterator[tuple[Images, Labels]]:
    """Yield the batches of an epoch; a loader has its own batch size and order."""
    if isinstance(images, LoaderImages):
        return images.batches(0 if seed is None else seed, start, epoch=epoch)
    return batches(images, batch_size, shuffle_seed=seed, start=start)


@DATA_SOURCES.register("object")
@dataclass(frozen=True, kw_only=True)
class GivenImages:
    """Images that a Python program gave; a file can name them and cannot load them.

    Args:
        description: name, size and a digest of the labels.
    """

    description: str
    sets: dict[str, TrainingImages] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, train: TrainingImages, validation: TrainingImages | None) -> "GivenImages":
        """Return the source that stands for two sets."""
        made = cls(description=f"{train.name}-{len(train)}-{_digest(train)}")
        made.sets["train"] = train
        if validation is not None:
            name = "validation"
            is_memory = isinstance(validation, ImageDataset)
            made.sets[name] = replace(validation, split=name) if is_memory else validation  # type: ignore[type-var]
        return made

    @property
    def title(self) -> str:
        """The training set's name."""
        return self.description.rsplit("-", 2)[0]

    def load(self, split: str, *, cache: bool = True) -> Any:  # noqa: ARG002 - nothing is decoded
        """Return a set that was given.

        Raises:
            DatasetError: it was not, or the program that gave it is gone.
        """
        found = self.sets.get("validation" if split == "test" else split)
        if found is None:
            raise DatasetError(
                f"the {split} images of {self.description} were given by a Python program and "
                "cannot be loaded by name; give a dataset"
            )
        return found

    def table(self, split: str, *, streaming: bool = False) -> None:  # noqa: ARG002
        """Return nothing: the images exist in memory only."""
        return


def _digest(images: TrainingImages) -> str:
    if isinstance(images, LoaderImages):
        return "loader"
    return hashlib.sha256(images.labels.cpu().numpy().tobytes()).hexdigest()[:12]


def _samplers(loader: Any) -> list[Any]:
    """Return what decides which examples a loader gives, and in which order."""
    of_batches = getattr(loader, "batch_sampler", None)
    found = (getattr(loader, "sampler", None), of_batches, getattr(of_batches, "sampler", None))
    return [sampler for sampler in found if sampler is not None]


def _size(owner: Any) -> int:
    try:
        return len(owner)
    except TypeError:
        return 0


def _pair(batch: Any, name: str) -> tuple[Tensor, Tensor]:
    pair = pair_of(batch)
    if pair is None or not all(isinstance(part, Tensor) for part in pair):
        raise DatasetError(
            f"expected batches (images, labels, ...) from the loader of {name}, or mappings with "
            f"pixel_values, images or image, and labels or label, got {pair_kind(batch)}"
        )
    images, labels = pair
    # Weights are float32, and classes are counted in int64, whatever a Dataset holds.
    return (
        images.float() if images.is_floating_point() else images,
        labels if labels.is_floating_point() else labels.long(),
    )

"""The images of a hardening: what a program or a command may give, as training and held-out set."""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from steadygrad.batch_pair import pair_kind, pair_of
from steadygrad.checks import check_batch_size
from steadygrad.datasets import DataSource, ImageDataset, data_source, load_dataset
from steadygrad.datasets.sources import with_settings
from steadygrad.errors import DatasetError
from steadygrad.parts import read_plain
from steadygrad.training import GivenImages, LoaderImages, TrainingImages
from steadygrad.training.given_data import stated_class_names

__all__ = ["Data", "HardeningData", "is_named"]

Data = (
    DataSource
    | ImageDataset
    | LoaderImages
    | Dataset[Any]
    | Iterable[Any]
    | str
    | Mapping[str, Any]
)
"""A data set by name, path, part or as an object, or a loader of (images, labels)."""


@dataclass(frozen=True)
class HardeningData:
    """Images to train on and to report on.

    Attributes:
        train: what the network learns from.
        validation: held out; None if a loader was given alone.
        settings: of ``TrainingConfig``, which name the two.
    """

    train: TrainingImages
    validation: TrainingImages | None
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        train: Data,
        validation: Data | None,
        *,
        image_size: int | None,
        num_classes: int | None,
        batch_size: int,
        held_out: int | None = None,
    ) -> "HardeningData":
        """Return the sets that were given, or a named set with a part of it held out.

        Args:
            train, validation, image_size, num_classes: as in ``harden``.
            batch_size: in which the examples of a torch ``Dataset`` are read.
            held_out: images of a named set; 0 for none, None for a tenth, at most 1,000.

        Raises:
            DatasetError: one is no data, or the two are of other images or classes.
        """
        held: TrainingImages | None = None
        if not is_named(train):
            learned = _images(train, "train", image_size, num_classes, batch_size)
            if validation is not None:
                if num_classes is None and not stated_class_names(validation):
                    num_classes = learned.num_classes
                held = _images(validation, "validation", image_size, num_classes, batch_size)
        elif validation is None:
            named = data_source(cast("Any", train))
            if image_size is not None:
                named = with_settings(named, image_size=image_size)
            size = read_plain("validation_size", held_out, int | None)
            if size is None:
                size = min(1000, max(1, len(load_dataset(named, "train")) // 10))
            learned = load_dataset(named, "train", validation_size=size)
            held = load_dataset(named, "validation", validation_size=size) if size else None
            return cls(learned, held, {"data": named, "validation_size": size})
        else:
            learned = _images(train, "train", image_size, num_classes, batch_size)
            held = _images(validation, "test", image_size, num_classes, batch_size)
        if held is not None and (
            held.input_shape != learned.input_shape or held.num_classes != learned.num_classes
        ):
            raise DatasetError(
                f"expected validation images like those trained on, {learned.input_shape} of "
                f"{learned.num_classes} classes, got {held.input_shape} of {held.num_classes}"
            )
        return cls(learned, held, {"data": GivenImages.of(learned, held)})

    def reported(self, count: int) -> ImageDataset | None:
        """Return the first ``count`` validation images, on the CPU; None without any."""
        if self.validation is None:
            return None
        if isinstance(self.validation, LoaderImages):
            return replace(self.validation.collected(count), split="validation")
        return self.validation.first(count).to("cpu")


def is_named(data: Any) -> bool:
    """Return whether data are a source, or its text or table."""
    is_source = hasattr(data, "load") and hasattr(data, "table")
    return isinstance(data, str | Mapping) or (is_source and not isinstance(data, Dataset))


def _images(
    data: Data,
    split: Literal["train", "test", "validation"],
    size: int | None,
    classes: int | None,
    batch_size: int,
) -> TrainingImages:
    given: Any = data
    if isinstance(given, ImageDataset | LoaderImages):
        return given
    if is_named(given):
        return load_dataset(given, split, image_size=size)
    yields_batches = isinstance(given, IterableDataset)
    if isinstance(given, Dataset) and isinstance(given, Sized) and not yields_batches:
        return LoaderImages(_loader(given, batch_size, shuffled=split == "train"), classes)
    if hasattr(given, "__iter__") and not isinstance(given, Tensor):
        return LoaderImages(given, classes)
    raise DatasetError(
        f"expected {split} images as the name, folder or part of a data set, a torch Dataset of "
        f"(image, label), or a loader of (images, labels), got {type(given).__name__}"
    )


def _loader(data: Any, batch_size: Any, *, shuffled: bool) -> DataLoader[Any]:
    """Return a loader of the examples of a torch ``Dataset``."""
    check_batch_size(batch_size)
    if len(data) == 0:
        raise DatasetError(f"expected images in {type(data).__name__}, got none")
    pair = pair_of(data[0])
    if pair is None or not isinstance(pair[0], Tensor):
        got = pair_kind(data[0]) if pair is None else type(pair[0]).__name__
        raise DatasetError(
            f"expected pairs (image, label) from {type(data).__name__}, images as tensors, got "
            f"{got}; give it a transform such as torchvision's ToTensor"
        )
    return DataLoader(data, batch_size, shuffle=shuffled, collate_fn=_collated)


def _collated(examples: list[Any]) -> Any:
    """Return a batch of images and labels alone: what else examples hold may not fit into one."""
    return default_collate([pair_of(example) for example in examples])

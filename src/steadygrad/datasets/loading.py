"""Loading one split of a set whole into memory."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from steadygrad.datasets.image_dataset import ImageDataset, stratified_split
from steadygrad.datasets.sources import DataSource, check_limit, data_source, with_settings
from steadygrad.errors import HyperparameterError

__all__ = ["Split", "check_split", "load_dataset"]

Split: TypeAlias = Literal["train", "test", "validation"]


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
    check_split(split)
    check_limit(limit)
    if validation_size < 0:
        raise HyperparameterError(f"expected validation_size >= 0, got {validation_size}")
    found = data_source(source, data_dir)
    if image_size is not None:
        found = with_settings(found, image_size=image_size)
    if validation_size == 0 or split == "test":
        own = getattr(found, "limit", limit)
        if limit is not None and hasattr(found, "limit"):
            found = with_settings(found, limit=limit if own is None else min(limit, own))
        dataset = found.load(split, cache=cache)
        return dataset if limit is None else dataset.first(limit)
    dataset = found.load("train", cache=cache)
    if validation_size >= len(dataset):
        raise HyperparameterError(
            f"expected validation_size below the {len(dataset)} training images of "
            f"{dataset.name}, got {validation_size}"
        )
    train, validation = stratified_split(dataset.labels, validation_size, seed)
    dataset = replace(dataset.subset(train if split == "train" else validation), split=split)
    return dataset if limit is None else dataset.first(limit)


def check_split(split: str) -> None:
    """Refuse what is no split.

    Raises:
        HyperparameterError: for such a name.
    """
    if split not in get_args(Split):
        raise HyperparameterError(f"expected split {', '.join(get_args(Split))}, got {split!r}")

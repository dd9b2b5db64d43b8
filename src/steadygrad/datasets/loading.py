"""Loading a split by the set's name or by the path of a folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from steadygrad.datasets.digits import load_digits
from steadygrad.datasets.image_dataset import ImageDataset
from steadygrad.datasets.luminance import centre_luminance
from steadygrad.datasets.parquet import find_shards, holds_parquet, read_parquet
from steadygrad.datasets.registry import DatasetEntry, dataset_entry
from steadygrad.datasets.splitting import stratified_split
from steadygrad.errors import DatasetError, HyperparameterError

__all__ = ["Split", "load_dataset"]

Split: TypeAlias = Literal["train", "test", "validation"]

PREPARATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "svhn": centre_luminance,
    "svhn_10k": centre_luminance,
}


def load_dataset(
    name: str,
    split: Split = "train",
    *,
    data_dir: Path | None = None,
    limit: int | None = None,
    validation_size: int = 0,
    seed: int = 0,
    cache: bool = True,  # noqa: ARG001
) -> ImageDataset:
    """Return one split of a set."""
    if split not in get_args(Split):
        raise HyperparameterError(f"expected split train, test or validation, got {split!r}")
    if limit is not None and limit < 1:
        raise HyperparameterError(f"expected a limit of at least 1 image, got {limit}")
    entry = dataset_entry(name)
    source = "test" if split == "test" else "train"
    dataset = _load_known(entry, source, data_dir)
    if split == "validation" or (split == "train" and validation_size):
        if not 0 < validation_size < len(dataset):
            raise HyperparameterError(
                f"expected validation_size from 1 to {len(dataset) - 1}, got {validation_size}"
            )
        train, validation = stratified_split(dataset.labels, validation_size, seed)
        dataset = dataset.subset(train if split == "train" else validation)
        dataset = replace(dataset, split=split)
    return dataset if limit is None else dataset.first(limit)


def _load_known(entry: DatasetEntry, split: str, data_dir: Path | None) -> ImageDataset:
    if entry.name == "digits":
        pixels, labels = load_digits(split)
    else:
        if data_dir is None:
            raise DatasetError("no data_dir")
        folder = next(f for f in (data_dir / entry.name, data_dir) if holds_parquet(f))
        shards = find_shards(folder, entry.name)
        pixels, labels = read_parquet(shards[split], entry.class_names, f"{entry.name} {split}")
        if entry.name in PREPARATIONS:
            pixels = PREPARATIONS[entry.name](pixels)
    return ImageDataset(
        name=entry.name,
        split=split,
        pixels=pixels,
        labels=labels,
        class_names=entry.class_names,
        note=entry.note,
    )

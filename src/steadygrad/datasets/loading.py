"""Loading a split by the set's name or by the path of a folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from steadygrad.datasets.decoded_cache import read_cached
from steadygrad.datasets.digits import load_digits
from steadygrad.datasets.hub import download_hint, fetch_from_hub
from steadygrad.datasets.image_dataset import ImageDataset
from steadygrad.datasets.image_folder import ImageFolder
from steadygrad.datasets.luminance import STORED_SHAPE, centre_luminance
from steadygrad.datasets.parquet_folder import ParquetFolder
from steadygrad.datasets.registry import (
    DatasetEntry,
    dataset_entry,
    dataset_names,
    is_dataset_name,
)
from steadygrad.datasets.source import ImageSource
from steadygrad.datasets.splitting import stratified_split
from steadygrad.errors import DatasetError, HyperparameterError

__all__ = ["Split", "load_dataset"]

Split: TypeAlias = Literal["train", "test", "validation"]

PREPARED_AS_LUMINANCE = ("svhn", "svhn_10k")


def load_dataset(
    name: str,
    split: Split = "train",
    *,
    data_dir: Path | str | None = None,
    limit: int | None = None,
    validation_size: int = 0,
    seed: int = 0,
    cache: bool = True,
) -> ImageDataset:
    """Return one split of an image set.

    name: decided in this order: ``parquet:PATH`` and ``folder:PATH`` are folders of the two
        kinds below; a name of ``dataset_names()`` is that set, even if a folder is called so;
        anything else is a folder, of that path or of that name in ``data_dir``: of parquet files
        (``train-*.parquet``, ``test-*.parquet`` with columns ``image`` or ``img``, and ``label``;
        directly or in a folder ``data`` inside) or of image files (``train/<class>/<image>``,
        ``test/<class>/<image>``). All images of a set have one size.
    data_dir: holds known sets as ``data_dir/<name>/{train,test}-*.parquet``, or is itself the
        folder of the one asked for. Without it they come from the Hugging Face hub, which keeps
        what it has downloaded. ``digits`` needs neither.
    limit: only the first so many images of the split in stored order, or all if there are fewer.
    validation_size: so many examples are cut from ``train``, every class in its proportion, and
        make up ``validation``; which ones follows from ``seed``. With 0, ``validation`` is the one
        that a folder of one's own may hold.
    cache: keep a decoded copy in the user's cache folder (``cache_folder()``) and use it.
    Raises: UnknownNameError, HyperparameterError, and DatasetError for anything missing or damaged.
    """
    if split not in get_args(Split):
        raise HyperparameterError(f"expected split {', '.join(get_args(Split))}, got {split!r}")
    if limit is not None and limit < 1:
        raise HyperparameterError(f"expected a limit of at least 1 image, got {limit}")
    if validation_size < 0:
        raise HyperparameterError(f"expected validation_size >= 0, got {validation_size}")
    directory = None if data_dir is None else Path(data_dir).expanduser()
    is_cut = validation_size > 0 and split != "test"
    stored = "train" if is_cut else split
    if is_dataset_name(name):
        dataset = _load_known(dataset_entry(name), stored, directory, cache)
    else:
        source = _own_folder(name, directory)
        dataset = _read(source, stored, cache)
    if is_cut:
        if validation_size >= len(dataset):
            raise HyperparameterError(
                f"expected validation_size below the {len(dataset)} training images of "
                f"{dataset.name}, got {validation_size}"
            )
        train, validation = stratified_split(dataset.labels, validation_size, seed)
        chosen = train if split == "train" else validation
        dataset = replace(dataset.subset(chosen), split=split)
    return dataset if limit is None else dataset.first(limit)


def _load_known(
    entry: DatasetEntry, split: str, data_dir: Path | None, cache: bool
) -> ImageDataset:
    if split == "validation":
        raise HyperparameterError(
            f"{entry.name} has no validation split of its own; "
            "give validation_size >= 1 to cut one from train"
        )
    if entry.name == "digits":
        pixels, labels = load_digits(split)
        return ImageDataset(entry.name, split, pixels, labels, entry.class_names, entry.note)
    folder = fetch_from_hub(entry) if data_dir is None else _known_folder(entry, data_dir)
    source = ParquetFolder(folder, entry.name, entry.class_names)
    dataset = _read(source, split, cache)
    is_prepared = entry.name in PREPARED_AS_LUMINANCE
    stored_shape = STORED_SHAPE if is_prepared else entry.input_shape
    if dataset.input_shape != stored_shape:
        raise DatasetError(
            f"expected images of shape {stored_shape} for {entry.name}, "
            f"got {dataset.input_shape} in {folder}"
        )
    if is_prepared:
        dataset = replace(dataset, pixels=centre_luminance(dataset.pixels))
    whole = entry.train_size if split == "train" else entry.test_size
    notes = [entry.note] if entry.note else []
    if len(dataset) != whole:
        notes.append(f"{len(dataset):,} of the set's {whole:,} {split} images")
    return replace(dataset, note="; ".join(notes))


def _known_folder(entry: DatasetEntry, data_dir: Path) -> Path:
    """Return the folder of a known set's parquet files, in or at ``data_dir``."""
    if not data_dir.is_dir():
        raise DatasetError(f"the data folder {data_dir} does not exist")
    roots = [data_dir / entry.name]
    # A folder that is called like another set is not this one.
    if data_dir.resolve().name not in set(dataset_names()) - {entry.name}:
        roots.append(data_dir)
    for root in roots:
        for folder in _nested(root, entry.hub_folder):
            if _holds_parquet(folder):
                return folder
    raise DatasetError(f"no {entry.name} in {data_dir}: {download_hint(entry, data_dir)}")


def _own_folder(name: str, data_dir: Path | None) -> ImageSource:
    """Return the folder that a name stands for which is not a known set's."""
    kind, colon, path = name.partition(":")
    if colon and kind in ("parquet", "folder"):
        candidates = [Path(path)]
    else:
        kind, candidates = "", [Path(name)] + ([data_dir / name] if data_dir else [])
    folder = next((place for place in candidates if place.expanduser().is_dir()), None)
    if folder is None:
        if not kind and "/" not in name and "\\" not in name:
            dataset_entry(name)  # a plain word: refused with the list of names
        raise DatasetError(f"expected a folder of images at {candidates[0]}, got none")
    folder = folder.expanduser()
    parquet = next((place for place in _nested(folder) if _holds_parquet(place)), None)
    if kind == "parquet" or (kind != "folder" and parquet is not None):
        return ParquetFolder(parquet or folder, folder.resolve().name)
    return ImageFolder(folder, folder.resolve().name)


def _nested(folder: Path, hub_folder: str | None = None) -> Iterator[Path]:
    """Yield where the hub's layout may keep the files below a set's folder."""
    yield folder
    for inside in (hub_folder, "data"):
        if inside is not None:
            yield folder / inside


def _holds_parquet(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("*.parquet"))


def _read(source: ImageSource, split: str, cache: bool) -> ImageDataset:
    if split not in source.splits:
        raise DatasetError(
            f"no {split} split of {source.name} in {source.folder}; "
            f"it has {', '.join(source.splits)}"
        )
    if cache:
        pixels, labels, class_names = read_cached(source, split)
    else:
        (pixels, labels), class_names = source.read(split), source.class_names
    return ImageDataset(source.name, split, pixels, labels, class_names)

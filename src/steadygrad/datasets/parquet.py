"""Reading one split of a folder of parquet files in the Hugging Face hub's layout."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steadygrad.datasets.decoding import decode_images
from steadygrad.errors import DatasetError

__all__ = ["find_shards", "holds_parquet", "read_class_names", "read_parquet"]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMN = "label"
# train-00000-of-00002.parquet, the same with -<digest>, train-small.parquet, train.parquet
SHARD_NAME = re.compile(r"(?P<split>[^-]+)(-\d+-of-(?P<count>\d+).*|-.*)?\.parquet")


def holds_parquet(folder: Path) -> bool:
    """Say whether a folder holds parquet files directly."""
    return folder.is_dir() and any(folder.glob("*.parquet"))


def find_shards(folder: Path, name: str) -> dict[str, list[Path]]:
    """Return each split's files, in order: ``train-*.parquet`` or ``train.parquet``, and so on.

    name: the set, for messages.
    Raises: DatasetError, if there is none, or a split's files are fewer than their names say.
    """
    splits: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.parquet")):
        if match := SHARD_NAME.fullmatch(path.name):
            splits.setdefault(match["split"], []).append(path)
    if not splits:
        raise DatasetError(
            f"no parquet files for {name} in {folder}; expected train-*.parquet and test-*.parquet"
        )
    for split, paths in splits.items():
        count = (SHARD_NAME.fullmatch(paths[0].name) or {"count": None})["count"]
        if count is not None and len(paths) != int(count):
            raise DatasetError(
                f"expected {int(count)} {split}-*.parquet files for {name} in {folder}, "
                f"got {len(paths)}; download the missing ones"
            )
    return splits


def read_parquet(
    paths: list[Path], class_names: tuple[str, ...], where: str
) -> tuple[Tensor, Tensor]:
    """Return (pixels ``(N, channels, height, width)`` uint8, labels ``(N,)`` int64).

    class_names: as ``read_class_names`` gives them. where: names the split in messages.
    Raises: DatasetError, naming a damaged file, a missing column, or a damaged image.
    """
    encoded: list[Any] = []
    labels: list[Any] = []
    positions = {class_name: index for index, class_name in enumerate(class_names)}
    for path in paths:
        schema = _schema(path)
        image_column = _image_column(path, schema.names)
        table = _read(path, [image_column, LABEL_COLUMN])
        images = table.column(image_column).combine_chunks()
        if hasattr(images, "field") and images.type.num_fields:
            images = images.field("bytes")
        encoded.extend(images.to_pylist())
        found = table.column(LABEL_COLUMN).to_pylist()
        labels.extend(positions[label] if isinstance(label, str) else label for label in found)
    if None in encoded:
        raise DatasetError(
            f"image {encoded.index(None)} of {where} has no bytes; "
            "expected encoded images inside the parquet files"
        )
    if None in labels:
        raise DatasetError(f"image {labels.index(None)} of {where} has no label")
    pixels = decode_images(encoded, where, "image {}".format)
    return torch.from_numpy(pixels), torch.from_numpy(np.asarray(labels, dtype=np.int64))


def read_class_names(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of the classes, from all files of all splits.

    They stand in the files' metadata, where the hub's own files keep them. Without them, labels
    that are text are the names, in alphabetical order; labels that are numbers are named so, from
    0 to the largest.
    Raises: DatasetError, naming a damaged file or a missing column.
    """
    found: set[Any] = set()
    for path in paths:
        schema = _schema(path)
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(LABEL_COLUMN, {})
        if feature.get("names"):
            return tuple(feature["names"])
        _image_column(path, schema.names)
        found.update(_read(path, [LABEL_COLUMN]).column(LABEL_COLUMN).unique().to_pylist())
    found.discard(None)
    if all(isinstance(label, str) for label in found):
        return tuple(sorted(found))
    return tuple(str(index) for index in range(max(found) + 1))


def _image_column(path: Path, columns: list[str]) -> str:
    for column in IMAGE_COLUMNS:
        if column in columns and LABEL_COLUMN in columns:
            return column
    raise DatasetError(
        f"expected the columns image (or img) and label in {path}, got {', '.join(columns)}"
    )


def _schema(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"cannot read {path}: damaged, or no parquet file") from error


def _read(path: Path, columns: list[str]) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path, columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"cannot read {path}: damaged, or no parquet file") from error

"""A folder of parquet files in the Hugging Face hub's layout."""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad.datasets.decoding import decode_images
from steadygrad.datasets.source import canonical_split
from steadygrad.errors import DatasetError

__all__ = ["ParquetFolder"]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMN = "label"
MOST_CLASSES = 100_000
"""A class index at or above this, without names for the classes, is taken for a mistake."""
# train-00000-of-00002.parquet, the same with -<digest>, train-small.parquet, train.parquet
SHARD_NAME = re.compile(r"(?P<split>[^-]+)(-\d+-of-(?P<count>\d+).*|-.*)?\.parquet")


class ParquetFolder:
    """``train-*.parquet``, ``test-*.parquet`` and so on, with encoded images and their labels.

    folder: holds the files directly. name: the set, for messages.
    class_names: None looks for them in the files: in the metadata, where the hub's own files keep
        them; else labels that are text are the names, in alphabetical order, and labels that are
        numbers are named so, from 0 to the largest of all splits.
    Columns: ``image`` or ``img`` (bytes, alone or beside a path) and ``label``.
    Raises: DatasetError, if the folder holds no such files, or fewer than their names promise.
    """

    def __init__(self, folder: Path, name: str, class_names: tuple[str, ...] | None = None) -> None:
        self.folder, self.name = folder, name
        self._class_names = class_names
        self._shards = _find_shards(folder, name)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""
        return tuple(self._shards)

    @property
    def files(self) -> list[Path]:
        """All files of all splits."""
        return [path for paths in self._shards.values() for path in paths]

    @property
    def settings(self) -> str:
        """The class names that it was given."""
        return json.dumps(self._class_names)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their indices."""
        return self._class_names or _find_class_names(self.files)

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Return (pixels ``(N, channels, height, width)`` uint8, labels ``(N,)`` int64).

        Raises: DatasetError, naming the damaged file or image, or the missing column.
        """
        where = f"the {split} split of {self.name} in {self.folder}"
        encoded: list[Any] = []
        labels: list[Any] = []
        for path in self._shards[split]:
            image_column = _image_column(path)
            table = _read_table(path, [image_column, LABEL_COLUMN])
            encoded.extend(_encoded_images(table.column(image_column), path))
            labels.extend(_labels(table.column(LABEL_COLUMN), path))
        for what, values in (("bytes", encoded), ("label", labels)):
            if None in values:
                raise DatasetError(
                    f"expected an image and a label in every row of {where}, "
                    f"got no {what} in row {values.index(None)}"
                )
        indices = {class_name: index for index, class_name in enumerate(self.class_names)}
        for row, label in enumerate(labels):
            if isinstance(label, str):
                if label not in indices:
                    raise DatasetError(
                        f"expected labels among {', '.join(self.class_names)} in {where}, "
                        f"got {label!r} in row {row}"
                    )
                labels[row] = indices[label]
        pixels = decode_images(encoded, where, "image {}".format)
        return torch.from_numpy(pixels), torch.tensor(labels, dtype=torch.int64)


def _find_shards(folder: Path, name: str) -> dict[str, list[Path]]:
    """Return each split's files, in order."""
    splits: dict[str, list[Path]] = {}
    promised: dict[str, int] = {}
    for path in sorted(folder.glob("*.parquet")):
        if match := SHARD_NAME.fullmatch(path.name):
            split = canonical_split(match["split"])
            splits.setdefault(split, []).append(path)
            promised[split] = int(match["count"] or 0)
    if not splits:
        raise DatasetError(
            f"expected train-*.parquet and test-*.parquet for {name} in {folder}, got neither"
        )
    for split, paths in splits.items():
        if promised[split] and len(paths) != promised[split]:
            raise DatasetError(
                f"expected {promised[split]} {split}-*.parquet files for {name} in {folder}, as "
                f"their names say, got {len(paths)}"
            )
    return splits


def _find_class_names(paths: Sequence[Path]) -> tuple[str, ...]:
    found: set[Any] = set()
    for path in paths:
        _image_column(path)
        metadata = json.loads((_read_schema(path).metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(LABEL_COLUMN, {})
        if names := feature.get("names"):
            return tuple(names)
        found.update(_labels(_read_table(path, [LABEL_COLUMN]).column(LABEL_COLUMN), path))
    found.discard(None)
    if all(isinstance(label, str) for label in found):
        return tuple(sorted(found))
    lowest, highest = min(found), max(found)
    if lowest < 0 or highest >= MOST_CLASSES:
        raise DatasetError(
            f"expected labels from 0 to {MOST_CLASSES - 1} in {paths[0].parent}, "
            f"got {lowest if lowest < 0 else highest}"
        )
    return tuple(str(index) for index in range(highest + 1))


def _image_column(path: Path) -> str:
    columns = _read_schema(path).names
    for column in IMAGE_COLUMNS:
        if column in columns and LABEL_COLUMN in columns:
            return column
    raise DatasetError(
        f"expected the columns {' or '.join(IMAGE_COLUMNS)}, and {LABEL_COLUMN}, in {path}, "
        f"got {', '.join(columns)}"
    )


def _encoded_images(column: Any, path: Path) -> list[bytes | None]:
    from pyarrow import types  # type: ignore[import-untyped]  # ships no annotations

    is_binary = types.is_binary(column.type) or types.is_large_binary(column.type)
    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        return [item for chunk in column.chunks for item in chunk.field("bytes").to_pylist()]
    if is_binary:
        return list(column.to_pylist())
    raise DatasetError(f"expected encoded images as bytes in {path}, got {column.type}")


def _labels(column: Any, path: Path) -> list[int | str | None]:
    from pyarrow import types

    text = (types.is_string, types.is_large_string, types.is_dictionary)
    if types.is_integer(column.type) or any(is_text(column.type) for is_text in text):
        return list(column.to_pylist())
    raise DatasetError(f"expected labels as whole numbers or text in {path}, got {column.type}")


def _read_schema(path: Path) -> Any:
    return _read(path, "read_schema")


def _read_table(path: Path, columns: list[str]) -> Any:
    return _read(path, "read_table", columns=columns)


def _read(path: Path, function: str, **arguments: Any) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return getattr(parquet, function)(path, **arguments)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"cannot read {path}: it is damaged, or no parquet file") from error

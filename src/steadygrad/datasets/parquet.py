"""Parquet files in the Hugging Face hub's layout: encoded images and labels, some files a split."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from steadygrad.datasets.decoded_cache import copy_folder
from steadygrad.datasets.decoding import Encoded
from steadygrad.datasets.image_table import (
    Rows,
    random_rows,
    stream_of_rows,
)
from steadygrad.errors import DatasetError
from steadygrad.extras import extra

__all__ = ["ParquetTable"]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMN = "label"
MOST_CLASSES = 100_000
"""A class index at or above this, without names for the classes, is taken for a mistake."""
BLOCK = 256
"""Rows fetched at once."""


class ParquetTable:
    """``train-*.parquet``, ``test-*.parquet`` and so on.

    The classes: the given names; else those that the training files name in their metadata, as the
    hub's do, or those of the split that is read, if they alone do; else labels that are text, in
    alphabetical order; else the numbers from 0 to the largest label of all splits. Where two splits
    name their classes in different orders, a label keeps its name and not its number.

    Args:
        shards: each split's files, in order: local paths or URLs.
        title: the set's name.
        place: where it lies, for messages.
        class_names: None looks for them in the files.
        image_column: the encoded images, as bytes alone or beside a path; None for ``image`` or
            ``img``.
        label_column: whole numbers or text.

    Raises:
        DatasetError: files are missing, or a split is there twice.
    """

    def __init__(
        self,
        shards: Mapping[str, Sequence[str]],
        title: str,
        place: str,
        *,
        class_names: tuple[str, ...] | None = None,
        image_column: str | None = None,
        label_column: str = LABEL_COLUMN,
    ) -> None:
        self.title, self.place = title, place
        self._shards = {split: tuple(files) for split, files in shards.items()}
        self._given_names = class_names
        self._image_columns = (image_column,) if image_column is not None else IMAGE_COLUMNS
        self._label_column = label_column
        self._notes: list[str] = []

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""
        return tuple(self._shards)

    @property
    def settings(self) -> str:
        """The class names and columns that were given."""
        return json.dumps([self._given_names, self._image_columns, self._label_column])

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their indices."""
        if self._given_names is not None:
            return self._given_names
        for split in self._by_importance:
            if (names := self._names_in_metadata(split)) is not None:
                return names
        return self._counted_names()

    def files(self, split: str) -> list[Path]:  # noqa: ARG002  (others may name the classes)
        """Return the files of all splits."""
        return [Path(file) for files in self._shards.values() for file in files]

    def notes(self, split: str) -> tuple[str, ...]:
        """Name the files that could not be asked for their classes, and renumbered labels."""
        indices = self._indices(split)
        renumbered = indices is not None and any(
            isinstance(label, int) and label != index for label, index in indices.items()
        )
        if not renumbered:
            return tuple(self._notes)
        return (*self._notes, f"the {split} files number the classes in another order than train")

    def count(self, split: str) -> int:
        """Return how many rows the split's files say they hold."""
        return sum(_row_count(file) for file in self._shards[split])

    def rows(self, split: str, *, streaming: bool = False) -> Rows:
        """Return a split's rows; see ``ImageTable``."""
        with extra("data"):
            from datasets import Image, Value

        column, kind = self._checked_columns(split)
        files, indices = self._shards[split], self._indices(split)
        if streaming:
            groups = [(file, group) for file in files for group in range(_group_count(file))]
            stream = stream_of_rows(
                _group_rows, groups=groups, image_column=column, label_column=self._label_column
            )
            return Rows(stream, indices)
        columns = {
            column: Image(decode=False),
            self._label_column: Value("int64" if kind == "number" else "string"),
        }
        folder = copy_folder(self, split)
        try:
            data = random_rows(files, columns, folder)
        except Exception as error:  # of pyarrow, of datasets, of the file system
            raise DatasetError(
                f"cannot copy the {split} split of {self.title} from {self.place} to {folder} "
                f"({type(error).__name__}: {str(error).partition(chr(10))[0]})"
            ) from error
        names = {column: "image", self._label_column: "label"}
        changed = {old: new for old, new in names.items() if old != new}
        return Rows(data.rename_columns(changed) if changed else data, indices)

    def in_order(self, split: str) -> Iterator[tuple[Encoded, int]]:
        """Yield the split's (image, class index), as stored."""
        (image_column, _), indices = self._checked_columns(split), self._indices(split)
        where = f"the {split} split of {self.title} in {self.place}"
        row = 0
        for file in self._shards[split]:
            groups = [(file, group) for group in range(_group_count(file))]
            for example in _group_rows(groups, image_column, self._label_column):
                encoded, label = example["image"]["bytes"], example["label"]
                missing = "bytes" if encoded is None else "label" if label is None else None
                if missing or encoded is None:
                    raise DatasetError(
                        f"expected an image and a label in every row of {where}, "
                        f"got no {missing} in row {row}"
                    )
                if indices is not None and label not in indices:
                    if isinstance(label, int):
                        raise DatasetError(self._outside(split, label, row))
                    raise DatasetError(
                        f"expected labels among {', '.join(self.class_names)} in {where}, "
                        f"got {label!r} in row {row}"
                    )
                yield encoded, label if indices is None else indices[label]
                row += 1

    def describe(self, split: str, index: int) -> str:  # noqa: ARG002
        """Name one image in messages."""
        return f"image {index}"

    # Which columns there are.

    def _checked_columns(self, split: str) -> tuple[str, str]:
        """Return the image column and the kind of labels, which all files of a split share."""
        found = {}
        for file in self._shards[split]:
            column = self._image_column(file)
            kind = _label_kind(_schema(file).field(self._label_column).type, file)
            found[column, kind] = file
        if len(found) > 1:
            (_, first), (_, second) = found
            kinds = f" ({first} and {second} labels)" if first != second else ""
            raise DatasetError(
                f"expected the same columns in all {split} files of {self.title}, got others in "
                f"{' and '.join(Path(file).name for file in found.values())}{kinds}"
            )
        (shared,) = found
        return shared

    def _image_column(self, file: str) -> str:
        with extra("data"):
            from pyarrow import types  # type: ignore[import-untyped]  # ships no annotations

        schema = _schema(file)
        for column in self._image_columns:
            if column in schema.names and self._label_column in schema.names:
                kind = schema.field(column).type
                is_struct = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
                if is_struct or types.is_binary(kind) or types.is_large_binary(kind):
                    return column
                raise DatasetError(f"expected encoded images as bytes in {file}, got {kind}")
        raise DatasetError(
            f"expected the columns {' or '.join(self._image_columns)}, and {self._label_column}, "
            f"in {file}, got {', '.join(schema.names)}"
        )

    # Which classes there are.

    @property
    def _by_importance(self) -> tuple[str, ...]:
        """The splits, ``train`` first: it names the classes."""
        return tuple(sorted(self._shards, key=lambda split: split != "train"))

    def _names_in_metadata(self, split: str) -> tuple[str, ...] | None:
        """Return the class names that the first file of a split holds, if it holds any."""
        try:
            stored = (_schema(self._shards[split][0]).metadata or {}).get(b"huggingface", b"{}")
            names = json.loads(stored)["info"]["features"][self._label_column]["names"]
        except (DatasetError, ValueError, LookupError, TypeError):
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        return tuple(names) or None

    def _indices(self, split: str) -> dict[Any, int] | None:
        """Return the class index of each label of a split; None where the label is the index."""
        by_name = {name: index for index, name in enumerate(self.class_names)}
        kind = _label_kind(_schema(self._shards[split][0]).field(self._label_column).type, "")
        if kind == "text":
            return dict(by_name)
        own = self._names_in_metadata(split)
        if self._given_names is not None or own is None or own == self.class_names:
            return None
        unknown = [name for name in own if name not in by_name]
        if unknown:
            raise DatasetError(
                f"expected the classes {', '.join(self.class_names)} in the {split} split of "
                f"{self.title} in {self.place}, got also {', '.join(unknown)}"
            )
        return {label: by_name[name] for label, name in enumerate(own)}

    def _counted_names(self) -> tuple[str, ...]:
        """Return the classes that the labels of all splits make up."""
        found: set[Any] = set()
        learned: set[Any] | None = None
        for split in self._by_importance:
            for file in self._shards[split]:
                try:
                    _label_kind(_schema(file).field(self._label_column).type, file)
                    found.update(_read_column(file, self._label_column))
                except (DatasetError, KeyError) as error:
                    # Whoever asks for this split gets the error; the others get a note.
                    unread = f"the classes are counted without {Path(file).name}"
                    reason = "no labels" if isinstance(error, KeyError) else "not readable"
                    self._notes.append(f"{unread} ({reason})")
            if split == "train":
                learned = set(found)
        found.discard(None)
        texts = sorted(label for label in found if isinstance(label, str))
        if texts:
            self._note_unlearned(texts, learned)
            return tuple(texts)
        # -1 stands for a label that is kept secret.
        highest = max((label for label in found if label >= 0), default=-1)
        if highest >= MOST_CLASSES:
            raise DatasetError(
                f"expected labels from 0 to {MOST_CLASSES - 1} in {self.place}, got {highest}"
            )
        self._note_unlearned(range(highest + 1), learned)
        return tuple(str(index) for index in range(highest + 1))

    def _note_unlearned(self, classes: Iterable[Any], learned: set[Any] | None) -> None:
        """Note the classes that ``train`` has no image of, where there is such a split."""
        unlearned = [
            str(label) for label in classes if learned is not None and label not in learned
        ]
        if unlearned:
            named = ", ".join(unlearned[:10]) + (", ..." if len(unlearned) > 10 else "")
            self._notes.append(f"the train split has no image of these classes: {named}")

    def _outside(self, split: str, label: int, row: int) -> str:
        return (
            f"expected labels from 0 to {len(self.class_names) - 1} in the {split} split of "
            f"{self.title} in {self.place}, got {label} in row {row}"
        )


def _label_kind(kind: Any, file: str) -> Literal["number", "text"]:
    with extra("data"):
        from pyarrow import types

    if types.is_integer(kind):
        return "number"
    values = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_string(values) or types.is_large_string(values):
        return "text"
    raise DatasetError(f"expected labels as whole numbers or text in {file}, got {kind}")


def _schema(file: str) -> Any:
    return _read(file, lambda parquet, source: parquet.read_schema(source))


def _row_count(file: str) -> int:
    return int(_read(file, lambda parquet, source: parquet.read_metadata(source).num_rows))


def _group_count(file: str) -> int:
    return int(_read(file, lambda parquet, source: parquet.read_metadata(source).num_row_groups))


def _read_column(file: str, column: str) -> list[Any]:
    def read(parquet: Any, source: Any) -> list[Any]:
        return list(parquet.ParquetFile(source).read([column]).column(column).to_pylist())

    return list(_read(file, read))


def _group_rows(
    groups: Sequence[tuple[str, int]], image_column: str, label_column: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of (file, row group) pairs.

    ``datasets`` has a parquet stream of its own, but it leaves threads behind that abort the
    interpreter at its end if the stream is not read to its last row (5.2 with pyarrow 26).
    """
    with extra("data"):
        from pyarrow import types

    for file, group in groups:
        is_struct = types.is_struct(_schema(file).field(image_column).type)
        columns = [f"{image_column}.bytes" if is_struct else image_column, label_column]

        def blocks(
            parquet: Any, source: Any, group: int = group, columns: Sequence[str] = columns
        ) -> Iterator[Any]:
            yield from parquet.ParquetFile(source).iter_batches(
                batch_size=BLOCK, row_groups=[group], columns=list(columns), use_threads=False
            )

        for block in _read_blocks(file, blocks):
            images = block.column(image_column)
            # Flattened, a struct that is missing has no bytes either.
            content = (images.flatten()[0] if is_struct else images).to_pylist()
            labels = block.column(label_column).to_pylist()
            for image, label in zip(content, labels, strict=True):
                yield {"image": {"bytes": image, "path": None}, "label": label}


def _read(file: str, function: Callable[[Any, Any], Any]) -> Any:
    """Return what a function of (``pyarrow.parquet``, the file) returns."""
    (result,) = _read_blocks(file, lambda parquet, source: iter([function(parquet, source)]))
    return result


def _read_blocks(file: str, function: Callable[[Any, Any], Iterator[Any]]) -> Iterator[Any]:
    """Yield what a function of (``pyarrow.parquet``, the file) yields."""
    with extra("data"):
        import fsspec  # type: ignore[import-untyped]  # ships no annotations
        import pyarrow
        from pyarrow import parquet

    opened = fsspec.open(file, "rb") if "://" in file else contextlib.nullcontext(file)
    try:
        with opened as source:
            yield from function(parquet, source)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"cannot read {file}: it is damaged, or no parquet file") from error

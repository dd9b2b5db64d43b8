"""A set on disk as tables of encoded images and labels, read by Hugging Face ``datasets``."""

import glob
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steadygrad.datasets.decoding import Encoded
from steadygrad.errors import DatasetError
from steadygrad.extras import extra

__all__ = [
    "ImageTable",
    "Rows",
    "canonical_split",
    "encoded_image",
    "random_rows",
    "stream_of_rows",
    "unknown_split",
]

VALIDATION_NAMES = ("val", "valid")


def canonical_split(name: str) -> str:
    """Return "validation" for its abbreviations, and any other split's name as it is."""
    return "validation" if name in VALIDATION_NAMES else name


@dataclass(frozen=True)
class Rows:
    """One split's rows, in the order in which they are stored.

    Args:
        data: a ``datasets.Dataset``, or an ``IterableDataset`` for a stream, with the columns
            ``image``, encoded (see ``encoded_image``), and ``label``.
        indices: the class index of every label; None where a label is the index.
    """

    data: Any
    indices: Mapping[Any, int] | None = None


class ImageTable(Protocol):
    """One or more splits of one set."""

    title: str
    """The set's name, for messages and results."""
    place: str
    """Where it lies, for messages and the cache."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their indices, the same for all splits."""

    @property
    def settings(self) -> str:
        """What else decides what is read, besides the files."""

    def files(self, split: str) -> list[Path]:
        """Return every file that decides what is read of a split: if one changes, so may that."""

    def notes(self, split: str) -> tuple[str, ...]:
        """Return what a reader of results has to know of the split."""

    def count(self, split: str) -> int:
        """Return how many images the split holds."""

    def rows(self, split: str, *, streaming: bool = False) -> Rows:
        """Return a split's rows: at random places, or with ``streaming`` one after the other.

        Raises:
            DatasetError: the split is damaged or incomplete.
        """

    def in_order(self, split: str) -> Iterator[tuple[Encoded, int]]:
        """Yield the split's (image, class index), as stored.

        Raises:
            DatasetError: naming what is damaged or missing.
        """

    def describe(self, split: str, index: int) -> str:
        """Name one image in messages."""


def encoded_image(value: Any) -> Encoded | None:
    """Return the bytes of an undecoded image of ``datasets``, else its path, else None."""
    if value is None:
        return None
    content: bytes | None = value["bytes"]
    path: str | None = value["path"]
    return content if content is not None else path


def stream_of_rows(read: Callable[..., Iterator[dict[str, Any]]], **arguments: Any) -> Any:
    """Return a ``datasets.IterableDataset`` of the rows that a generator function yields.

    Args:
        read: called with the arguments.
        arguments: one of them a list of shards, among which workers are to be divided.
    """
    with extra("data"):
        from datasets import Dataset

    # The folder is needed for a lock while the stream is made.
    with quiet_datasets(), tempfile.TemporaryDirectory() as scratch:
        return Dataset.from_generator(read, cache_dir=scratch, gen_kwargs=arguments, streaming=True)


def random_rows(files: Sequence[str], columns: Mapping[str, Any], folder: Path) -> Any:
    """Return a ``datasets.Dataset`` of parquet files, after a copy that can be read at any place.

    The files are named one by one, so that nothing is asked of a network and nothing is guessed.

    Args:
        files: local paths.
        columns: those to read, by name, as ``datasets`` describes them.
        folder: where the copy goes, or lies already.
    """
    with extra("data"):
        from datasets import Dataset, Features

    with quiet_datasets():
        return Dataset.from_parquet(
            # ``datasets`` takes [, * and ? in a path for a pattern, and reads nothing at all if no
            # file fits it.
            [glob.escape(file) for file in files],
            features=Features(dict(columns)),
            columns=list(columns),
            cache_dir=str(folder),
        )


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Keep the progress bars and log lines of ``datasets`` off the terminal."""
    with extra("data"):
        import datasets

    were_disabled = datasets.are_progress_bars_disabled()
    verbosity = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not were_disabled:
            datasets.enable_progress_bars()


def unknown_split(table: ImageTable, split: str) -> DatasetError:
    """Return the refusal of a split that a set does not hold."""
    return DatasetError(
        f"no {split} split of {table.title} in {table.place}; it has {', '.join(table.splits)}"
    )

"""Where image sets come from: the parts of the family ``data set``, and folders, parquet and hub.

A data set is a part like any other (``steadygrad.parts``): ``mnist:data_dir=DATA``,
``folder:photos,image_size=224``, ``hub:OWNER/NAME``. A text that is no part's name is taken for the
path of a folder, of parquet files or of image files.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from steadygrad.datasets.decoded_cache import read_split
from steadygrad.datasets.decoding import Framing
from steadygrad.datasets.hub import HubSet
from steadygrad.datasets.image_dataset import ImageDataset
from steadygrad.datasets.image_folder import ImageFolder
from steadygrad.datasets.image_table import ImageTable
from steadygrad.datasets.parquet import ParquetTable
from steadygrad.datasets.parquet_shards import find_shards, holds_parquet
from steadygrad.errors import DatasetError, HyperparameterError
from steadygrad.parts import Family, absolute_path

__all__ = [
    "DATA_SOURCES",
    "DataSource",
    "EncodedImages",
    "FolderImages",
    "HubImages",
    "ParquetImages",
    "check_limit",
    "data_source",
    "load_table",
    "parquet_table",
    "with_settings",
]


class DataSource(Protocol):
    """A data set as a part. To add one, register a frozen dataclass with these members.

    The fields ``image_size``, ``limit`` and ``data_dir``, where there are such, can be set by
    ``load_dataset`` and ``image_loader`` too.
    """

    @property
    def title(self) -> str:
        """The set's name, for messages and results."""

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:
        """Return a split, whole in memory.

        Args:
            split: "train", "test" or "validation".
            cache: use and keep decoded copies in the user's cache folder.

        Raises:
            DatasetError: the split is missing or damaged.
        """

    def table(self, split: str, *, streaming: bool = False) -> ImageTable | None:
        """Return the set as encoded images; None for a set that exists in memory only.

        Args:
            split: the one that will be read.
            streaming: it is read once in order: what is far away need not be fetched as a whole.

        Raises:
            DatasetError: the set is missing.
        """


def _path_source(text: str) -> "DataSource | None":
    return _source_at(text, [Path(text)])


DATA_SOURCES: Family[DataSource] = Family("data set", "steadygrad.datasets", fallback=_path_source)
"""Every registered data set; a path is a folder of images or of parquet files."""


def data_source(
    source: "DataSource | str | Mapping[str, Any]",
    data_dir: Path | str | None = None,
    *,
    default_dir: Path | None = None,
) -> DataSource:
    """Return the data set that a text, a table or an object stands for.

    Args:
        source: a part's text or table, the path of a folder, that of a folder in ``data_dir``, or
            the part itself.
        data_dir: holds local copies of the named sets; takes the place of the part's own, as an
            absolute path.
        default_dir: the same where neither ``data_dir`` nor the part itself says where they lie.

    Raises:
        UnknownNameError: no set has that name.
        HyperparameterError: a setting is unknown or outside its range.
        DatasetError: there is no folder at that path.
    """
    place = default_dir if data_dir is None else data_dir
    directory = None if place is None else absolute_path(Path(place))  # for any folder
    found: DataSource | None = None
    if isinstance(source, str) and not DATA_SOURCES.is_text_of(source):
        places = [Path(source)] + ([directory / source] if directory is not None else [])
        found = _source_at(source, places)
    found = found if found is not None else DATA_SOURCES.of(source)
    is_free = data_dir is not None or getattr(found, "data_dir", None) is None
    if directory is not None and _has_field(found, "data_dir") and is_free:
        found = with_settings(found, data_dir=directory)
    return found


def with_settings(source: DataSource, **settings: Any) -> DataSource:
    """Return the source with other settings.

    Raises:
        HyperparameterError: it has no such setting, or the value is outside its range.
    """
    for key in settings:
        if not _has_field(source, key):
            raise HyperparameterError(f"{source.title} takes no {key}, got {settings[key]}")
    changed: DataSource = replace(source, **settings)  # type: ignore[type-var]  # a dataclass
    return changed


def load_table(
    table: ImageTable, split: str, *, image_size: int | None, limit: int | None, cache: bool
) -> tuple[ImageDataset, int]:
    """Return a split of encoded images whole in memory, and how many images lie on disk.

    Raises:
        DatasetError: the split is missing or damaged.
    """
    framing = None if image_size is None else Framing(image_size)
    read = read_split(table, split, limit=limit, framing=framing, cache=cache)
    dataset = ImageDataset(
        table.title, split, read.pixels, read.labels, read.class_names, "; ".join(read.notes)
    )
    return dataset, read.count


def parquet_table(folder: Path, title: str, **columns: Any) -> ParquetTable:
    """Return the parquet files in a folder, in its folder ``data``, or in one for each split.

    Raises:
        DatasetError: there are none, or fewer than their names promise.
    """
    for place in (folder, folder / "data"):
        if holds_parquet(place):
            names = [path.name for path in place.glob("*.parquet")]
            break
    else:
        place = folder
        names = [path.relative_to(folder).as_posix() for path in folder.glob("*/*.parquet")]
    shards = find_shards(names, str(place), title)
    located = {split: [str(place / name) for name in of] for split, of in shards.items()}
    return ParquetTable(located, title, str(place), **columns)


@dataclass(frozen=True, kw_only=True)
class EncodedImages(ABC):
    """A set of encoded images, and what every such set lets one choose.

    Args:
        image_size: scale the shorter side to so many pixels and cut out the middle square; None
            for images that have one size.
        limit: only the first so many images of each split.

    Raises:
        HyperparameterError: a setting is below 1.
    """

    image_size: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None:
            Framing(self.image_size)
        check_limit(self.limit)

    @abstractmethod
    def table(self, split: str, *, streaming: bool = False) -> ImageTable | None:
        """Return the set as encoded images; see ``DataSource``."""

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:
        """Return a split, whole in memory; see ``DataSource``."""
        table = self.table(split)
        assert table is not None
        sizes = {"image_size": self.image_size, "limit": self.limit}
        return load_table(table, split, cache=cache, **sizes)[0]


@DATA_SOURCES.register("folder")
@dataclass(frozen=True)
class FolderImages(EncodedImages):
    """Image files in ``train/<class>/`` and ``test/<class>/``; see ``ImageFolder``.

    Args:
        path: the folder that holds the splits' folders.
    """

    positional: ClassVar[str] = "path"

    path: Path

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.path.expanduser().resolve().name

    def table(self, split: str, *, streaming: bool = False) -> ImageFolder:  # noqa: ARG002
        """Return the set as encoded images."""
        return ImageFolder(_existing(self.path), self.title)


@DATA_SOURCES.register("parquet")
@dataclass(frozen=True)
class ParquetImages(EncodedImages):
    """Parquet files ``train-*.parquet`` and ``test-*.parquet``; see ``ParquetTable``.

    Args:
        path: the folder that holds them, directly or in a folder ``data``.
        image_column: None for ``image`` or ``img``.
        label_column: whole numbers or text.
    """

    positional: ClassVar[str] = "path"

    path: Path
    image_column: str | None = None
    label_column: str = "label"

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.path.expanduser().resolve().name

    def table(self, split: str, *, streaming: bool = False) -> ParquetTable:  # noqa: ARG002
        """Return the set as encoded images."""
        return parquet_table(
            _existing(self.path),
            self.title,
            image_column=self.image_column,
            label_column=self.label_column,
        )


@DATA_SOURCES.register("hub")
@dataclass(frozen=True)
class HubImages(EncodedImages):
    """A set on the Hugging Face hub, downloaded once; a stream keeps nothing of it.

    Args:
        hub_id: OWNER/NAME.
        config: the configuration, where the set has several.
        revision: a branch, tag or commit; None for the newest.
        image_column: None for ``image`` or ``img``.
        label_column: whole numbers or text.
    """

    positional: ClassVar[str] = "hub_id"

    hub_id: str
    config: str | None = None
    revision: str | None = None
    image_column: str | None = None
    label_column: str = "label"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hub_id.count("/") != 1 or not all(self.hub_id.split("/")):
            raise HyperparameterError(f"expected hub:OWNER/NAME, got {self.hub_id!r}")

    @property
    def title(self) -> str:
        """The set's name without its owner."""
        return self.hub_id.rpartition("/")[2]

    def table(self, split: str, *, streaming: bool = False) -> ParquetTable:
        """Return the set as encoded images."""
        address = f"https://huggingface.co/datasets/{self.hub_id}"
        remedy = f"download its parquet files from {address} and give parquet:FOLDER"
        if self.config is None:
            remedy += ", or name the configuration (config=...) if it was downloaded before"
        found = HubSet(
            self.hub_id,
            self.config,
            self.revision,
            remedy,
            self.title,
            image_column=self.image_column,
            label_column=self.label_column,
        )
        return found.stream() if streaming else found.table(split)


def check_limit(limit: int | None) -> None:
    """Refuse a limit below one image.

    Raises:
        HyperparameterError: for such a limit.
    """
    if limit is not None and limit < 1:
        raise HyperparameterError(f"expected a limit of at least 1 image, got {limit}")


def _source_at(text: str, places: list[Path]) -> DataSource | None:
    """Return the folder at the first place that is one; None if the text looks like no path."""
    for place in places:
        if (folder := place.expanduser()).is_dir():
            return ParquetImages(place) if _is_parquet(folder) else FolderImages(place)
    head, comma, settings = text.partition(",")
    if comma and (folder := Path(head).expanduser()).is_dir():
        kind = "parquet" if _is_parquet(folder) else "folder"
        return DATA_SOURCES.parse(f'{kind}:"{head}",{settings}')
    if "/" in text or "\\" in text:
        raise DatasetError(f"expected a folder of images at {places[0]}, got none")
    return None


def _is_parquet(folder: Path) -> bool:
    return any(holds_parquet(place) for place in _parquet_places(folder))


def _parquet_places(folder: Path) -> Iterator[Path]:
    yield from (folder, folder / "data", folder / "train", folder / "test")


def _existing(path: Path) -> Path:
    folder = path.expanduser()
    if not folder.is_dir():
        raise DatasetError(f"expected a folder of images at {path}, got none")
    return folder


def _has_field(source: DataSource, key: str) -> bool:
    return any(field.name == key for field in fields(source))  # type: ignore[arg-type]

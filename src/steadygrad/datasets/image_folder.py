"""A folder of image files: ``train/<class>/<image>`` and ``test/<class>/<image>``."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from steadygrad.datasets.decoding import Encoded
from steadygrad.datasets.image_table import Rows, canonical_split
from steadygrad.errors import DatasetError
from steadygrad.extras import extra

__all__ = ["ImageFolder"]

SPLIT_NAMES = ("train", "test", "validation", "val", "valid")
SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"),
    }
)
OTHER_IMAGES = frozenset(
    {
        *(
            ".avif",
            ".heic",
            ".heif",
            ".j2k",
            ".jp2",
            ".jpx",
            ".jxl",
            ".svg",
            ".psd",
            ".exr",
            ".hdr",
        ),
        *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".raw", ".dcm", ".npy", ".npz"),
    }
)
"""Files that hold images which are not read: they are refused and not left out."""
LEFT_BEHIND = frozenset(
    {
        *("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
    }
)
"""What operating systems, archives and network drives leave in folders."""
FEW = 3
"""Names shown of a longer list."""


@dataclass
class _Listing:
    """What lies in one split's folder; paths in the order of their names."""

    classes: dict[str, list[Path]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


class ImageFolder:
    """One folder a split, in it one folder a class, in it the images, also in deeper folders.

    The classes are the folders of ``train`` that hold an image, in alphabetical order. The images
    come in turns, the first of each class, then the second of each, in the order of the files'
    names: so the first n of a set hold its classes evenly. Hidden files and what systems leave
    behind are no part of the set; other files and folders without an image are named in the notes.

    Args:
        folder: holds the splits' folders.
        title: the set's name.

    Raises:
        DatasetError: there is no split in the folder, or one under two names.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder, self.title, self.place = folder, title, str(folder)
        self._folders: dict[str, Path] = {}
        self._listings: dict[str, _Listing] = {}
        for name in SPLIT_NAMES:
            if not (folder / name).is_dir():
                continue
            split = canonical_split(name)
            if split in self._folders:
                raise DatasetError(
                    f"expected one {split} split in {folder}, got {self._folders[split].name} "
                    f"and {name}"
                )
            self._folders[split] = folder / name
        if not self._folders:
            raise DatasetError(
                f"expected train/<class>/<image> and test/<class>/<image> in {folder}, "
                "got neither folder"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""
        return tuple(self._folders)

    @property
    def settings(self) -> str:
        """Nothing but the files decides what is read."""
        return ""

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their indices."""
        first = self._leading_split
        listing = self._listing(first)
        if not listing.classes:
            folder = self._folders[first]
            if listing.empty:
                raise DatasetError(
                    f"expected at least one image in {folder}, got none in its folders "
                    f"{_some(listing.empty)}"
                )
            raise DatasetError(f"expected a folder for each class in {folder}, got none")
        return tuple(sorted(listing.classes))

    def files(self, split: str) -> list[Path]:
        """Return the images of the split and of the one that names the classes.

        What is refused or left out there decides too: on an error or a note.
        """
        found: list[Path] = []
        for one in dict.fromkeys((self._leading_split, split)):
            listing = self._listing(one)
            found += [path for paths in listing.classes.values() for path in paths]
            found += [*listing.others, *(path for path, _ in listing.refused)]
            found += [self._folders[one] / name for name in listing.empty]
        return found

    def notes(self, split: str) -> tuple[str, ...]:
        """Name the folders without an image and the files that are no images."""
        listing, notes = self._listing(split), []
        empty = [name for name in listing.empty if name not in self.class_names]
        if empty:
            notes.append(f"no image in {_some([f'{split}/{name}' for name in empty])}")
        missing = [name for name in self.class_names if name not in listing.classes]
        if missing:
            notes.append(f"no {split} image of {_some(missing)}")
        if listing.others:
            names = [str(path.relative_to(self._folders[split])) for path in listing.others]
            notes.append(f"left out of {split}, being no images: {_some(names)}")
        return tuple(notes)

    def count(self, split: str) -> int:
        """Return how many images the split holds."""
        return len(self._images(split))

    def rows(self, split: str, *, streaming: bool = False) -> Rows:
        """Return a split's rows; see ``ImageTable``."""
        with extra("data"):
            from datasets import ClassLabel, Dataset, Features, Image

        images = self._images(split)
        if not images:
            raise DatasetError(f"expected at least one image in {self._folders[split]}, got none")
        data = Dataset.from_dict(
            {"image": [str(path) for path, _ in images], "label": [label for _, label in images]},
            features=Features(
                {"image": Image(decode=False), "label": ClassLabel(names=list(self.class_names))}
            ),
        )
        # As many shards as there may be workers to share them.
        return Rows(data.to_iterable_dataset(num_shards=min(len(data), 64)) if streaming else data)

    def in_order(self, split: str) -> Iterator[tuple[Encoded, int]]:
        """Yield the split's (path, class index), in turns over the classes."""
        # The list exists already: a table of paths would only be filled to be emptied again.
        for path, label in self._images(split):
            yield str(path), label

    def describe(self, split: str, index: int) -> str:
        """Name one image in messages."""
        return str(self._images(split)[index][0].relative_to(self._folders[split]))

    @property
    def _leading_split(self) -> str:
        """The split that names the classes."""
        return "train" if "train" in self._folders else next(iter(self._folders))

    def _listing(self, split: str) -> _Listing:
        if split not in self._listings:
            self._listings[split] = _list(self._folders[split])
        return self._listings[split]

    def _images(self, split: str) -> list[tuple[Path, int]]:
        """Return the split's (path, label), in turns over the classes.

        Raises: DatasetError, for what cannot be read and for classes of its own.
        """
        listing, folder = self._listing(split), self._folders[split]
        if listing.refused:
            path, why = listing.refused[0]
            raise DatasetError(f"cannot read {path.relative_to(folder)} of {folder}: {why}")
        unknown = sorted(set(listing.classes) - set(self.class_names))
        if unknown:
            raise DatasetError(
                f"expected the classes {', '.join(self.class_names)} in {folder}, "
                f"got also {', '.join(unknown)}"
            )
        turns = [
            (turn, label, path)
            for label, name in enumerate(self.class_names)
            for turn, path in enumerate(listing.classes.get(name, []))
        ]
        return [(path, label) for _, label, path in sorted(turns)]


def _list(folder: Path) -> _Listing:
    listing = _Listing()
    for entry in _entries(folder):
        path = Path(entry.path)
        if entry.is_dir():
            images: list[Path] = []
            _walk(path, images, listing, seen={path.resolve()})
            if images:
                listing.classes[entry.name] = images
            else:
                listing.empty.append(entry.name)
        elif path.suffix.lower() in SUFFIXES | OTHER_IMAGES:
            listing.refused.append((path, "expected every image in the folder of its class"))
        else:
            listing.others.append(path)
    return listing


def _walk(folder: Path, images: list[Path], listing: _Listing, seen: set[Path]) -> None:
    """Gather a class's images, those of deeper folders after its own."""
    deeper = []
    for entry in _entries(folder):
        path, suffix = Path(entry.path), Path(entry.name).suffix.lower()
        if entry.is_dir():
            deeper.append(path)
        elif suffix in OTHER_IMAGES:
            why = f"convert it to a format that is read, such as PNG or JPEG, from {suffix}"
            listing.refused.append((path, why))
        elif suffix not in SUFFIXES:
            listing.others.append(path)
        elif entry.is_file():
            images.append(path)
        else:
            listing.refused.append((path, "the file that its link points to does not exist"))
    for path in deeper:
        if (real := path.resolve()) not in seen:  # a link may lead back to where we are
            seen.add(real)
            _walk(path, images, listing, seen)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what belongs to the set, in the order of the names."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e for e in entries if not e.name.startswith(".") and e.name not in LEFT_BEHIND),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DatasetError(f"cannot read the folder {folder}: {error.strerror}") from error


def _some(names: list[str]) -> str:
    """Return the names, or the first few of many."""
    shown = ", ".join(names[:FEW])
    return shown if len(names) <= FEW else f"{shown} and {len(names) - FEW:,} more"

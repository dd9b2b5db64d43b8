"""A folder of image files: ``train/<class>/<image>`` and ``test/<class>/<image>``."""

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from steadygrad.datasets.decoding import decode_images
from steadygrad.datasets.source import canonical_split
from steadygrad.errors import DatasetError

__all__ = ["ImageFolder"]

SPLIT_NAMES = ("train", "test", "validation", "val", "valid")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


class ImageFolder:
    """One folder a split, in it one folder a class, in it the images, all of one size.

    folder: holds the splits' folders. name: the set, for messages.
    The classes are those of ``train``, in alphabetical order. The images come in turns, the first
    of each class, then the second of each, in the order of the files' names: so the first n of a
    set hold its classes evenly. Files without an image's suffix, and hidden ones, are left alone.
    Raises: DatasetError, if there is no split in the folder, or a split has other classes.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._split_folders = {
            canonical_split(split): folder / split
            for split in SPLIT_NAMES
            if (folder / split).is_dir()
        }
        if not self._split_folders:
            raise DatasetError(
                f"expected train/<class>/<image> and test/<class>/<image> in {folder}, "
                "got neither folder"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""
        return tuple(self._split_folders)

    @property
    def files(self) -> list[Path]:
        """All images of all splits."""
        return [path for images in self._images.values() for path, _ in images]

    @property
    def settings(self) -> str:
        """Nothing but the files decides what is read."""
        return ""

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their indices."""
        first = self._split_folders.get("train") or next(iter(self._split_folders.values()))
        names = _subfolders(first)
        if not names:
            raise DatasetError(f"expected a folder for each class in {first}, got none")
        return tuple(names)

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Return (pixels ``(N, channels, height, width)`` uint8, labels ``(N,)`` int64).

        Raises: DatasetError, naming the damaged file, or one of another size.
        """
        images = self._images[split]
        where = str(self._split_folders[split])
        paths = [path for path, _ in images]
        pixels = decode_images(
            paths, where, lambda index: f"{paths[index].parent.name}/{paths[index].name}"
        )
        labels = torch.tensor([label for _, label in images], dtype=torch.int64)
        return torch.from_numpy(pixels), labels

    @cached_property
    def _images(self) -> dict[str, list[tuple[Path, int]]]:
        """Each split's (file, label), in turns over the classes."""
        return {split: self._list(folder) for split, folder in self._split_folders.items()}

    def _list(self, split_folder: Path) -> list[tuple[Path, int]]:
        unknown = [name for name in _subfolders(split_folder) if name not in self.class_names]
        if unknown:
            raise DatasetError(
                f"expected the classes {', '.join(self.class_names)} in {split_folder}, "
                f"got also {', '.join(unknown)}"
            )
        turns = []
        for label, class_name in enumerate(self.class_names):
            paths = sorted(
                path
                for path in (split_folder / class_name).glob("*")
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            )
            turns += [(turn, label, path) for turn, path in enumerate(paths)]
        return [(path, label) for _, label, path in sorted(turns)]


def _subfolders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )

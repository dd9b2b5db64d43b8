"""What a place that holds a labelled image set must be able to say and to give."""

from pathlib import Path
from typing import Protocol

from torch import Tensor

__all__ = ["ImageSource", "canonical_split"]

VALIDATION_NAMES = ("val", "valid")


def canonical_split(name: str) -> str:
    """Return "validation" for its abbreviations, and any other split's name as it is."""
    return "validation" if name in VALIDATION_NAMES else name


class ImageSource(Protocol):
    """A folder with one or more splits of one set."""

    name: str
    """The set's, for messages and results."""
    folder: Path
    """Where it lies."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it holds."""

    @property
    def files(self) -> list[Path]:
        """Every file that decides what is read; when one changes, a decoded copy is out of date."""

    @property
    def settings(self) -> str:
        """What else decides what is read, besides the files."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, the same for all splits."""

    def read(self, split: str) -> tuple[Tensor, Tensor]:
        """Return (pixels ``(N, C, H, W)`` uint8, labels ``(N,)`` int64) of one of ``splits``.

        Raises: DatasetError.
        """

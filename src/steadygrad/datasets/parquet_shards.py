"""Which parquet files make up a split, by their names: the hub's layout and what is like it."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from steadygrad.datasets.image_table import canonical_split
from steadygrad.errors import DatasetError

__all__ = ["find_shards", "holds_parquet"]

# train-00000-of-00002.parquet, the same with -<digest>, train-small.parquet, train.parquet
SHARD_NAME = re.compile(r"(?P<split>[^-/]+)(-(?P<number>\d+)-of-(?P<count>\d+).*|-.*)?\.parquet")


def holds_parquet(folder: Path) -> bool:
    """Return whether parquet files lie in a folder."""
    return folder.is_dir() and any(
        not path.name.startswith(".") for path in folder.glob("*.parquet")
    )


def find_shards(names: Sequence[str], place: str, title: str) -> dict[str, list[str]]:
    """Return each split's files among the names of parquet files, in order.

    Args:
        names: file names, or ``<split>/<file>`` for files that lie in a folder for each split.
        place: where they lie, for messages.
        title: the set's name, for messages.

    Raises:
        DatasetError: there are none, fewer than their names promise, or two copies of a split.
    """
    copies: dict[str, dict[str, list[tuple[int, str]]]] = {}
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        match = SHARD_NAME.fullmatch(file)
        if match is None or file.startswith("."):
            continue
        split = folder or match["split"]
        # Files belong together if they lie in one folder, or count to the same number, or not.
        if folder:
            kind = "folder"
        elif match["count"]:
            kind = f"of {match['count']}"
        else:
            kind = "whole" if file == f"{split}.parquet" else "named"
        of_split = copies.setdefault(canonical_split(split), {})
        of_split.setdefault(f"{split} {kind}", []).append((int(match["number"] or -1), name))
    if not copies:
        raise DatasetError(
            f"expected train-*.parquet and test-*.parquet for {title} in {place}, got neither"
        )
    shards = {}
    for split, of_split in copies.items():
        first, *others = of_split.values()
        # The same shard twice: one of them comes from another copy.
        again = [
            later for (number, _), later in itertools.pairwise(first) if number == later[0] != -1
        ]
        if others or again:
            other = others[0][0][1] if others else again[0][1]
            raise DatasetError(
                f"expected one copy of the {split} split of {title} in {place}, "
                f"got {first[0][1]} and {other}"
            )
        _, is_counted, count = next(iter(of_split)).rpartition(" of ")
        promised = int(count) if is_counted else len(first)
        if len(first) != promised:
            raise DatasetError(
                f"expected {promised} {split}-*.parquet files for {title} in {place}, as "
                f"their names say, got {len(first)}"
            )
        shards[split] = [name for _, name in first]
    return shards

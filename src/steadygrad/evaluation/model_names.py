"""What people call models: the last part of a folder, or as many as tell folders apart."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["distinct_names", "short_name"]


def short_name(target: Path | str) -> str:
    """Return what people call a model: of a folder its last part."""
    return Path(target).resolve().name if Path(target).is_dir() else str(target)


def distinct_names(targets: Sequence[str]) -> dict[str, str]:
    """Return a name for each: of a folder its last part, or as many as tell all of them apart."""
    folders = {target: Path(target).resolve().parts for target in targets if Path(target).is_dir()}
    names = {target: target for target in targets}
    for target, own in folders.items():
        others = set(folders.values()) - {own}
        length = 1
        while length < len(own) and any(parts[-length:] == own[-length:] for parts in others):
            length += 1
        names[target] = "/".join(own[-length:]).replace("//", "/")
    return names

"""The paths among the settings of a part: files and folders of this machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from steadygrad.parts.settings import Setting, fields_of, is_path

__all__ = ["absolute_path", "paths_changed", "with_absolute_paths", "with_paths"]


def absolute_path(path: Path) -> Path:
    """Return a path that means the same whatever the working directory."""
    return path.expanduser().absolute()


def with_absolute_paths(part: Any) -> Any:
    """Return a part, and the parts in it, with absolute paths: it can be used from any folder."""
    return with_paths(part, absolute_path)


def with_paths(part: Any, change: Callable[[Path], Path]) -> Any:
    """Return a part, and the parts in it, with every path changed."""
    changed = paths_changed(part, change)
    return replace(part, **changed) if changed else part  # replace() would lose what is no setting


def paths_changed(part: Any, change: Callable[[Path], Path]) -> dict[str, Any]:
    """Return the settings of a part, or of a nest of parts, that differ once paths are changed.

    A setting of text that may also be a folder, such as a network's on a hub, is named by the class
    variable ``name_or_folder``.
    """
    changed = {}
    for setting in fields_of(type(part)):
        before = getattr(part, setting.key)
        is_text = setting.key == getattr(type(part), "name_or_folder", None)
        after = _with_folder(before, change) if is_text else _changed(before, setting, change)
        if after is not before and after != before:
            changed[setting.key] = after
    return changed


def _changed(value: Any, setting: Setting, change: Callable[[Path], Path]) -> Any:
    if isinstance(value, tuple):
        return tuple(_changed(item, setting, change) for item in value)
    if setting.family is not None:
        return value if setting.family.name_of(value) is None else with_paths(value, change)
    return change(Path(value)) if value is not None and is_path(setting.annotation) else value


def _with_folder(text: str, change: Callable[[Path], Path]) -> str:
    path = Path(text).expanduser()
    return str(change(path)) if path.is_absolute() or path.is_dir() else text

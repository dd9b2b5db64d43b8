"""What a part's class says of its settings: their keys, types, defaults and nested families."""

import dataclasses
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = [
    "FamilyNote",
    "Setting",
    "allows_none",
    "fields_of",
    "is_path",
    "is_plain",
    "is_tuple",
    "part_fields",
    "settings_of",
]

_FIELDS: dict[type[Any], tuple["Setting", ...]] = {}


class FamilyNote:
    """What marks a setting as a part: ``Annotated[Covariance, COVARIANCES]``."""


@dataclass(frozen=True)
class Setting:
    """One setting; ``default`` is ``MISSING`` if it is needed, ``family`` that of a nested part."""

    key: str
    annotation: Any
    default: Any
    family: Any

    @property
    def is_needed(self) -> bool:
        """Whether the part cannot be built without it."""
        return self.default is dataclasses.MISSING


def settings_of(cls: type[Any]) -> tuple[Setting, ...]:
    """Return the settings that text can give: plain values and nested parts."""
    return tuple(
        setting
        for setting in fields_of(cls)
        if setting.family is not None or is_plain(setting.annotation)
    )


def part_fields(part: Any) -> tuple[Setting, ...]:
    """Return every setting of a part or of a nest of parts, such as a training configuration."""
    return fields_of(part if isinstance(part, type) else type(part))


def fields_of(cls: type[Any]) -> tuple[Setting, ...]:
    """Return every setting that the constructor takes, whatever its type."""
    if cls not in _FIELDS:
        _FIELDS[cls] = _read_fields(cls)
    return _FIELDS[cls]


def _read_fields(cls: type[Any]) -> tuple[Setting, ...]:
    if not dataclasses.is_dataclass(cls):
        return ()
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        Setting(field.name, hints[field.name], _default(field), _family(hints[field.name]))
        for field in dataclasses.fields(cls)
        if field.init
    )


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _family(annotation: Any) -> FamilyNote | None:
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, FamilyNote):
                return note
    for inner in get_args(annotation) if get_origin(annotation) is not Literal else ():
        found = _family(inner)
        if found is not None:
            return found
    return None


def is_plain(annotation: Any) -> bool:
    """Return whether text can give a value of this type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_plain(get_args(annotation)[0])
    if origin is Literal:
        return True
    if origin in (types.UnionType, Union):
        return any(is_plain(a) for a in get_args(annotation) if a is not types.NoneType)
    if origin is tuple:
        arguments = get_args(annotation)
        return len(arguments) == 2 and arguments[1] is Ellipsis and is_plain(arguments[0])
    return annotation in (bool, int, float, str, Path)


def is_path(annotation: Any) -> bool:
    """Return whether a setting of this type holds a path."""
    if get_origin(annotation) is Annotated:
        return is_path(get_args(annotation)[0])
    is_union = get_origin(annotation) in (types.UnionType, Union)
    return annotation is Path or (is_union and any(map(is_path, get_args(annotation))))


def is_tuple(annotation: Any) -> bool:
    """Return whether a setting of this type holds several values."""
    if get_origin(annotation) is Annotated:
        return is_tuple(get_args(annotation)[0])
    return get_origin(annotation) is tuple


def allows_none(annotation: Any) -> bool:
    """Return whether a setting of this type may be None."""
    if get_origin(annotation) is Annotated:
        return allows_none(get_args(annotation)[0])
    is_union = get_origin(annotation) in (types.UnionType, Union)
    return is_union and any(allows_none(a) or a is types.NoneType for a in get_args(annotation))

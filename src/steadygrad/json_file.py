"""Reading JSON that may be damaged: every surprise is a CheckpointError that names the file."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from steadygrad.errors import CheckpointError

__all__ = ["parse_object", "read_object", "read_text", "required"]

Kind = TypeVar("Kind")

_KIND_NAMES = {
    str: "a text",
    dict: "an object",
    list: "a list",
    int: "a whole number",
    bool: "true or false",
}


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises: CheckpointError, if the file cannot be read or holds anything else.
    """
    return parse_object(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return a file's text; CheckpointError, if it cannot be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is damaged: it is not UTF-8 text") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object in ``text``; ``where`` names its place in errors.

    Raises: CheckpointError, if it is anything else.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{where} is damaged: not valid JSON ({error})") from error
    except RecursionError:
        raise CheckpointError(f"{where} is damaged: its JSON is nested too deeply") from None
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{where} is damaged: expected a JSON object, got {type(values).__name__}"
        )
    return values


def required(values: Mapping[str, Any], key: str, kind: type[Kind], where: str) -> Kind:
    """Return ``values[key]``; for ``float``, any finite number.

    Raises: CheckpointError, if it is missing or of another kind.
    """
    if key not in values:
        raise CheckpointError(f"{where} is damaged: it has no {key!r}")
    value: Any = values[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):  # what no float holds stays an int, and is refused
            value = float(value)
    is_wrong_kind = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if is_wrong_kind or (isinstance(value, float) and not math.isfinite(value)):
        expected = _KIND_NAMES.get(kind, "a finite number")
        raise CheckpointError(f"{where} is damaged: expected {expected} as {key!r}, got {value!r}")
    found: Kind = value
    return found

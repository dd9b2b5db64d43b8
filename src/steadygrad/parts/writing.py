"""From a part to its text and its table."""

import re
from pathlib import Path
from typing import Any

from steadygrad.parts.settings import Setting, fields_of
from steadygrad.parts.values import NotTextError, plain_text, unquoted

__all__ = ["distinct_settings", "plain_settings", "plain_value", "text_items", "value_text"]


def text_items(part: Any) -> list[tuple[str, str]]:
    """Return the settings of a part that are not at their defaults, as keys and texts.

    Raises:
        NotTextError: one of them holds what no text can.
    """
    items: list[tuple[str, str]] = []
    positional = getattr(type(part), "positional", None)
    for setting in fields_of(type(part)):
        value = getattr(part, setting.key)
        if not setting.is_needed and _equal(value, setting.default):
            continue
        texts = _text_of(setting.key, value, setting)
        items += [(key, _keyless(text) if key == positional else text) for key, text in texts]
    return items


def _keyless(text: str) -> str:
    """Return a value's text for the place without a key, where ``=`` would make one of its start.

    Raises:
        NotTextError: it is in quotes in part.
    """
    if "=" not in text or text[0] in "\"'":
        return text
    if re.search("[\"']", text):
        raise NotTextError
    return f"'{text}'"


def _text_of(key: str, value: Any, setting: Setting) -> list[tuple[str, str]]:
    family = setting.family
    if family is None or value is None:
        return [(key, plain_text(value))]
    if isinstance(value, tuple):
        texts = [family.text(item) for item in value]
        if any(mark in text for text in texts for mark in ",+"):
            raise NotTextError
        return [(key, "+".join(texts) if texts else "none")]
    name = family.name_of(value)
    if name is None:
        raise NotTextError
    positional = getattr(type(value), "positional", None)
    inner = text_items(value)
    first = [text for inner_key, text in inner if inner_key == positional]
    head = f"{name}:{first[0]}" if first else name
    others = [(f"{key}.{inner_key}", text) for inner_key, text in inner if inner_key != positional]
    return [(key, head), *others]


def value_text(value: Any, setting: Setting) -> str:
    """Return a setting's value in text; its ``repr`` where no text can hold it."""
    try:
        items = _text_of(setting.key, value, setting)
    except NotTextError:
        return repr(value)
    head, others = items[0][1], [f"{key}={text}" for key, text in items[1:]]
    return ",".join([head, *others])


def plain_settings(part: Any) -> dict[str, Any]:
    """Return every setting of a dataclass as JSON can hold it; nested parts become tables."""
    return {
        setting.key: plain_value(getattr(part, setting.key), setting)
        for setting in fields_of(type(part))
    }


def distinct_settings(part: Any) -> dict[str, Any]:
    """Return the settings that are not at their defaults, nested parts as tables of theirs.

    For digests: a setting that is added to a part later leaves them alone.
    """
    return {
        setting.key: _distinct_value(getattr(part, setting.key), setting)
        for setting in fields_of(type(part))
        if setting.is_needed or not _equal(getattr(part, setting.key), setting.default)
    }


def _distinct_value(value: Any, setting: Setting) -> Any:
    if isinstance(value, tuple):
        return [_distinct_value(item, setting) for item in value]
    name = setting.family.name_of(value) if setting.family is not None else None
    return (
        plain_value(value, setting) if name is None else {"name": name} | distinct_settings(value)
    )


def plain_value(value: Any, setting: Setting) -> Any:
    """Return a value as JSON holds it; a text in quotes of its own gets others around them."""
    if isinstance(value, str) and unquoted(value) != value:
        return f"'{value}'"  # reading takes the outer ones away
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [plain_value(item, setting) for item in value]
    if setting.family is not None and setting.family.name_of(value) is not None:
        return setting.family.table(value)
    return repr(value)


def _equal(value: Any, default: Any) -> bool:
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError, RuntimeError):  # tensors compare to tensors
        return False

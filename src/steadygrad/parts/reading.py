"""From the text or the table of a part to the part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadygrad.errors import HyperparameterError, SteadygradError
from steadygrad.parts.settings import Setting, allows_none, fields_of, is_tuple, settings_of
from steadygrad.parts.values import nearest, read_plain, unquoted

if TYPE_CHECKING:
    from steadygrad.parts.family import Family

__all__ = ["build_part", "nested", "read_items", "read_nested", "split_name"]


def split_name(text: str) -> tuple[str, str]:
    """Return the name in a text and the settings after its colon."""
    name, _, rest = text.strip().partition(":")
    return name.strip(), rest.strip()


def read_items(rest: str, cls: type[Any], where: str) -> list[tuple[str, str]]:
    """Return the settings in a text as keys and values, none of them read yet."""
    items: list[tuple[str, str]] = []
    positional = getattr(cls, "positional", None)
    keys = [setting.key for setting in settings_of(cls)]
    for index, item in enumerate(_split_outside_quotes(rest, ",", where) if rest else []):
        key, equals, value = item.partition("=")
        is_bare = not equals or item.strip()[:1] in "\"'"
        is_first = index == 0 and (is_bare or _is_of_a_path(key, keys))
        if is_first and positional is not None:
            items.append((positional, item.strip()))
        elif is_bare:
            raise HyperparameterError(
                f"{where}: expected key=value with a key among {', '.join(keys) or 'none'}, "
                f"got {item.strip()!r}"
            )
        else:
            items.append((key.strip(), value.strip()))
    return items


def _is_of_a_path(key: str, keys: list[str]) -> bool:
    """Return whether what precedes ``=`` belongs to a path, such as ``runs/lr`` of runs/lr=0.1."""
    return key.partition(".")[0].strip() not in keys and ("/" in key or "." in key)


def _split_outside_quotes(text: str, mark: str, where: str) -> list[str]:
    pieces, quote, start = [], "", 0
    for position, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and (position == 0 or text[position - 1] in ",=:"):
            quote = sign
        elif sign == mark:
            pieces.append(text[start:position])
            start = position + 1
    if quote:
        raise HyperparameterError(f"{where}: expected a closing {quote} in {text!r}")
    return [*pieces, text[start:]]


def nested(items: list[tuple[str, str]], where: str) -> dict[str, Any]:
    """Return the settings with dotted keys gathered in tables beside their part's name."""
    values: dict[str, Any] = {}
    for key, value in items:
        first, _, rest = key.partition(".")
        if not rest:
            if first in values and isinstance(values[first], str):
                raise HyperparameterError(f"{where}: expected {first} once, got it twice")
            held = values.get(first)
            values[first] = value if held is None else _Nested(value, held.items)
        else:
            held = values.get(first)
            if not isinstance(held, _Nested):
                held = _Nested(held, [])
                values[first] = held
            held.items.append((rest, value))
    return values


@dataclass
class _Nested:
    """The text of a nested part and the settings that its dotted keys gave."""

    text: str | None
    items: list[tuple[str, str]]


def build_part(cls: type[Any], where: str, values: Mapping[str, Any]) -> Any:
    """Return the part of a class with these settings, each read as its type.

    Raises:
        UnknownNameError, HyperparameterError: a setting is unknown, missing or refused.
    """
    settings = {setting.key: setting for setting in settings_of(cls)}
    modern = getattr(cls, "modern_settings", None)  # reads what was written of an earlier form
    values = values if modern is None else modern(values)
    for key in values:
        if key not in settings:
            choices = f"choose from {', '.join(settings)}" if settings else "it has none"
            raise HyperparameterError(
                f"{where} has no setting {key!r}{nearest(str(key), list(settings))}; {choices}"
            )
    missing = [key for key, setting in settings.items() if setting.is_needed and key not in values]
    if missing:
        sentence = f"{where} needs a value for {' and '.join(missing)}"
        _, is_part, name = split_name(where)[0].rpartition(" ")
        if is_part:
            sentence += f", as in {name}:{','.join(f'{key}=...' for key in missing)}"
        raise HyperparameterError(sentence)
    read = {key: _read(f"{where}: {key}", value, settings[key]) for key, value in values.items()}
    try:
        return cls(**read)
    except SteadygradError:
        raise
    except (TypeError, ValueError) as error:  # how parts of other packages refuse a setting
        raise HyperparameterError(f"{where}: {error}") from error


def read_nested(part: Any) -> None:
    """Turn the texts and tables that a frozen part was given for nested parts into parts.

    For ``__post_init__``, so that a constructor takes ``penalty="norm:eps=8/255"`` too.

    Raises:
        UnknownNameError, HyperparameterError: one of them describes no part, or is none.
    """
    where = type(part).__name__
    for setting in fields_of(type(part)):
        if setting.family is not None:
            value = getattr(part, setting.key)
            read = _read_part(f"{where}: {setting.key}", value, setting, setting.family)
            object.__setattr__(part, setting.key, read)


def _read(where: str, value: Any, setting: Setting) -> Any:
    if setting.family is not None:
        return _read_part(where, value, setting, setting.family)
    if isinstance(value, _Nested):
        raise HyperparameterError(f"{where} has no settings of its own")
    return read_plain(where, value, setting.annotation)


def _read_part(where: str, value: Any, setting: Setting, family: "Family[Any]") -> Any:
    if is_tuple(setting.annotation):
        if isinstance(value, str):
            value = [] if value in ("", "none") else unquoted(value).split("+")
        if not isinstance(value, list | tuple):
            raise HyperparameterError(f"{where}: expected a list of parts, got {value!r}")
        return tuple(family.of(item) for item in value)
    if isinstance(value, _Nested):
        text = value.text if value.text is not None else _default_name(where, setting, family)
        name, rest = split_name(unquoted(text))
        cls, inner = family.get(name), f"{family.kind} {name}"
        items = read_items(rest, cls, inner) + value.items
        return build_part(cls, inner, nested(items, inner))
    if value is None or value == "none":
        if allows_none(setting.annotation):
            return None
        raise HyperparameterError(f"{where}: expected {family.one}, got none")
    return family.of(unquoted(value) if isinstance(value, str) else value)


def _default_name(where: str, setting: Setting, family: "Family[Any]") -> str:
    """Return the default part's name, to which dotted keys without a name belong."""
    name = None if setting.is_needed else family.name_of(setting.default)
    if name is None:
        raise HyperparameterError(f"{where}: expected the name of {family.one} beside its settings")
    return name

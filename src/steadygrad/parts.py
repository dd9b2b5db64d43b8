"""Parts: everything a user can choose by name, written as text, as a table or as a Python object.

A part is a frozen dataclass registered under a name in its family (attacks, penalties, schedules,
...). Three forms build equal objects and refuse bad settings with the same sentences::

    pgd:eps=8/255,steps=20                        text, for the command line and reports
    {"name": "pgd", "eps": "8/255", "steps": 20}  a table, for TOML, JSON and stored results
    PGD(eps=8 / 255, steps=20)                    the constructor

The text form is ``NAME``, then ``:`` and settings ``key=value`` separated by commas. A part with a
``positional`` setting takes it first, without its key (``uniform:0.1``). A setting that is itself a
part takes that part's name, and its own settings by dotted keys::

    sgr:strength=0.005,covariance=exponential,covariance.decay_length=4

Values: numbers (``8/255`` too), ``true`` and ``false``, ``none``, names, texts (in quotes where
they hold a comma), and several values joined by ``+`` (``at=10+20``).
"""

import dataclasses
import difflib
import importlib
import math
import re
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from steadygrad.errors import HyperparameterError, UnknownNameError

__all__ = ["Family", "Setting", "nearest", "number_text"]

P = TypeVar("P")
C = TypeVar("C", bound=type[Any])
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Setting:
    """One setting of a part: its key, type, default (``MISSING`` if needed) and nested family."""

    key: str
    annotation: Any
    default: Any
    family: "Family[Any] | None"

    @property
    def is_needed(self) -> bool:
        """Whether the part cannot be built without it."""
        return self.default is dataclasses.MISSING


class Family(Generic[P]):
    """The parts of one kind, by name.

    Args:
        kind: what one of them is called in sentences, such as "attack".
        home: the package whose import registers the parts that steadygrad brings along.
        group: the entry point group in which other packages announce theirs; None for ``home``.
        fallback: reads a text whose name is not registered, such as a path; None if it cannot.
    """

    def __init__(
        self,
        kind: str,
        home: str,
        *,
        group: str | None = None,
        fallback: Callable[[str], P | None] | None = None,
    ) -> None:
        self.kind, self.home, self.group = kind, home, group or home
        self._fallback = fallback
        self._classes: dict[str, type[Any]] = {}
        self._names: dict[type[Any], str] = {}
        self._about: dict[type[Any], Any] = {}
        self._entry_points: dict[str, EntryPoint] | None = None

    def __repr__(self) -> str:
        return f"Family({self.kind!r})"

    def register(self, name: str, about: Any = None, *, replace: bool = False) -> Callable[[C], C]:
        """Return a class decorator that registers a frozen dataclass under ``name``.

        Args:
            name: letters, digits, ``-``, ``_`` and ``.``.
            about: what others may ask of the part without building it.
            replace: take the place of a part that has the name.

        Raises:
            HyperparameterError: the name is malformed or belongs to another part, or the class is
                not a frozen dataclass or has a setting called ``name``.
        """
        if not NAME.fullmatch(name):
            raise HyperparameterError(
                f"expected a name of letters, digits, '-', '_' and '.' for a {self.kind}, "
                f"got {name!r}"
            )

        def add(cls: C) -> C:
            params = getattr(cls, "__dataclass_params__", None)
            if params is None or not params.frozen:
                raise HyperparameterError(
                    f"expected a frozen dataclass for {self.kind} {name!r}, got {cls.__name__}"
                )
            if any(field.name == "name" for field in dataclasses.fields(cls)):
                raise HyperparameterError(
                    f"expected no setting called 'name' in {self.kind} {name!r}: a table gives the "
                    "part's own name under that key"
                )
            present = self._classes.get(name)
            same = present is not None and _path(present) == _path(cls)
            if present is not None and not (same or replace):
                raise HyperparameterError(
                    f"the name {name!r} belongs to another {self.kind}, {_path(present)}; "
                    f"choose another one for {_path(cls)}"
                )
            self._classes[name], self._names[cls], self._about[cls] = cls, name, about
            return cls

        return add

    # Which parts there are.

    def names(self) -> tuple[str, ...]:
        """Return every name, in the order of registration, other packages' last."""
        self._load_home()
        return (*self._classes, *(name for name in self._plugins() if name not in self._classes))

    def __iter__(self) -> Iterator[type[Any]]:
        """Yield every registered class, those of other packages included."""
        for name in self.names():
            try:
                yield self.get(name)
            except HyperparameterError as error:  # a broken package must not stop the others
                warnings.warn(str(error), stacklevel=2)

    def get(self, name: str) -> type[Any]:
        """Return the class registered under ``name``.

        Raises:
            UnknownNameError: there is none; names the nearest one and lists all.
            HyperparameterError: the package that announces it cannot be imported.
        """
        self._load_home()
        if name not in self._classes and name in self._plugins():
            self._load_plugin(self._plugins()[name])
        if name not in self._classes:
            raise UnknownNameError(
                f"unknown {self.kind} {name!r}{nearest(name, self.names())}; "
                f"choose one of {', '.join(self.names())}"
            )
        return self._classes[name]

    def name_of(self, part: Any) -> str | None:
        """Return the name of a part or of its class; None if it is not registered here."""
        self._load_home()
        return self._names.get(part if isinstance(part, type) else type(part))

    def about(self, part: Any) -> Any:
        """Return what a part, its class or the part of that name was registered with."""
        self._load_home()
        cls = self.get(part) if isinstance(part, str) else part
        return self._about.get(cls if isinstance(cls, type) else type(cls))

    def settings(self, name: str) -> tuple[Setting, ...]:
        """Return the settings of the part ``name`` that its text and its table can hold."""
        return _settings(self.get(name))

    def is_text_of(self, text: str) -> bool:
        """Return whether ``text`` begins with the name of a part of this family."""
        return _split_name(text)[0] in self.names()

    # From text, table or object to part.

    def parse(self, text: str) -> P:
        """Return the part that ``text`` describes.

        Raises:
            UnknownNameError: there is no such part or choice.
            HyperparameterError: the text is malformed, or a setting is unknown, missing or refused.
        """
        name, rest = _split_name(text)
        if name not in self.names() and self._fallback is not None:
            found = self._fallback(text.strip())
            if found is not None:
                return found
        cls = self.get(name)
        where = f"{self.kind} {name}"
        return cast("P", _build(cls, where, _nested(_read_items(rest, cls, where), where)))

    def build(self, table: Mapping[str, Any]) -> P:
        """Return the part that a table with a ``name`` and settings describes.

        Raises:
            UnknownNameError, HyperparameterError: as ``parse``.
        """
        values = dict(table)
        name = values.pop("name", None)
        if not isinstance(name, str):
            raise HyperparameterError(
                f"expected a table with the name of a {self.kind}, got {dict(table)!r}"
            )
        return cast("P", _build(self.get(name), f"{self.kind} {name}", values))

    def of(self, value: "P | str | Mapping[str, Any]") -> P:
        """Return the part that a text or a table describes, or the object as it is.

        Raises:
            UnknownNameError, HyperparameterError: as ``parse``; also for a value that is neither.
        """
        if isinstance(value, str):
            return self.parse(value)
        if isinstance(value, Mapping):
            return self.build(value)
        if value is None or isinstance(value, bool | int | float | list | tuple | type):
            raise HyperparameterError(f"expected a {self.kind}, got {value!r}")
        return value

    # From part to text and table.

    def text(self, part: P) -> str:
        """Return the shortest text that ``parse`` turns into an equal part.

        An object that is not registered, or holds what text cannot, gives its ``repr``.
        """
        name = self.name_of(part)
        if name is None:
            return repr(part)
        try:
            items = _text_items(part)
        except _NotTextError:
            return repr(part)
        positional = getattr(type(part), "positional", None)
        first = [value for key, value in items if key == positional]
        others = [f"{key}={value}" for key, value in items if key != positional]
        rest = ",".join(first + others)
        return f"{name}:{rest}" if rest else name

    def table(self, part: P) -> dict[str, Any]:
        """Return the name and all settings, defaults included, as values that JSON can hold.

        A setting that JSON cannot hold appears as its ``repr``; so does an unregistered object's
        class name in place of the name.
        """
        name = self.name_of(part) or type(part).__name__
        return {"name": name} | {
            setting.key: _plain(getattr(part, setting.key), setting)
            for setting in _fields(type(part))
        }

    # Built-in parts and those of other packages.

    def _load_home(self) -> None:
        importlib.import_module(self.home)

    def _plugins(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            self._entry_points = {point.name: point for point in entry_points(group=self.group)}
        return self._entry_points

    def _load_plugin(self, point: EntryPoint) -> None:
        package = point.dist.name if point.dist is not None else point.value
        try:
            found = point.load()
        except Exception as error:
            raise HyperparameterError(
                f"the {self.kind} {point.name!r} of the package {package} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        if point.name not in self._classes:
            if not isinstance(found, type):
                raise HyperparameterError(
                    f"expected the {self.kind} {point.name!r} of the package {package} to be a "
                    f"class, got {found!r}"
                )
            self.register(point.name)(found)


def nearest(name: str, choices: tuple[str, ...] | list[str]) -> str:
    """Return " (did you mean 'X'?)" for a misspelt name, or nothing if no choice is close."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def number_text(value: float) -> str:
    """Return a number as short as it can be read back exactly: 0.2, 1e-05, 8/255, 1.5/255."""
    plain = repr(value)
    plain = plain.removesuffix(".0") if math.isfinite(value) else plain
    for numerator in (value * 255, value * 510):
        k = round(numerator) if math.isfinite(numerator) else 0
        scaled = k / (1 if numerator == value * 255 else 2)
        if k and scaled / 255 == value:
            fraction = f"{scaled:g}/255"
            if _number(fraction) == value and len(fraction) < len(plain):
                return fraction
    return plain


# Reading.


def _split_name(text: str) -> tuple[str, str]:
    name, _, rest = text.strip().partition(":")
    return name.strip(), rest.strip()


def _read_items(rest: str, cls: type[Any], where: str) -> list[tuple[str, str]]:
    items: list[tuple[str, str]] = []
    positional = getattr(cls, "positional", None)
    for index, item in enumerate(_split_outside_quotes(rest, ",", where) if rest else []):
        key, equals, value = item.partition("=")
        is_bare = not equals or item.strip()[:1] in "\"'"
        if is_bare and index == 0 and positional is not None:
            items.append((positional, item.strip()))
        elif is_bare:
            keys = [setting.key for setting in _settings(cls)]
            raise HyperparameterError(
                f"{where}: expected key=value with a key among {', '.join(keys) or 'none'}, "
                f"got {item.strip()!r}"
            )
        else:
            items.append((key.strip(), value.strip()))
    return items


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


def _nested(items: list[tuple[str, str]], where: str) -> dict[str, Any]:
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


def _build(cls: type[Any], where: str, values: Mapping[str, Any]) -> Any:
    settings = {setting.key: setting for setting in _settings(cls)}
    for key in values:
        if key not in settings:
            choices = f"choose from {', '.join(settings)}" if settings else "it has none"
            raise HyperparameterError(
                f"{where} has no setting {key!r}{nearest(str(key), list(settings))}; {choices}"
            )
    missing = [key for key, setting in settings.items() if setting.is_needed and key not in values]
    if missing:
        example = _split_name(where)[0].split()[-1]
        raise HyperparameterError(
            f"{where} needs a value for {' and '.join(missing)}, "
            f"as in {example}:{','.join(f'{key}=...' for key in missing)}"
        )
    read = {key: _read(f"{where}: {key}", value, settings[key]) for key, value in values.items()}
    return cls(**read)


def _read(where: str, value: Any, setting: Setting) -> Any:
    if setting.family is not None:
        return _read_part(where, value, setting, setting.family)
    if isinstance(value, _Nested):
        raise HyperparameterError(f"{where} has no settings of its own")
    return _read_plain(where, value, setting.annotation)


def _read_part(where: str, value: Any, setting: Setting, family: Family[Any]) -> Any:
    if _is_tuple(setting.annotation):
        if isinstance(value, str):
            value = [] if value in ("", "none") else _unquoted(value).split("+")
        if not isinstance(value, list | tuple):
            raise HyperparameterError(f"{where}: expected a list of parts, got {value!r}")
        return tuple(family.of(item) for item in value)
    if isinstance(value, _Nested):
        text = value.text if value.text is not None else _default_name(where, setting, family)
        name, rest = _split_name(_unquoted(text))
        cls, inner = family.get(name), f"{family.kind} {name}"
        items = _read_items(rest, cls, inner) + value.items
        return _build(cls, inner, _nested(items, inner))
    if value is None or value == "none":
        if _allows_none(setting.annotation):
            return None
        raise HyperparameterError(f"{where}: expected a {family.kind}, got none")
    return family.of(_unquoted(value) if isinstance(value, str) else value)


def _default_name(where: str, setting: Setting, family: Family[Any]) -> str:
    """Return the default part's name, to which dotted keys without a name belong."""
    name = None if setting.is_needed else family.name_of(setting.default)
    if name is None:
        raise HyperparameterError(
            f"{where}: expected the name of a {family.kind} beside its settings"
        )
    return name


def _read_plain(where: str, value: Any, annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _read_plain(where, value, get_args(annotation)[0])
    if origin in (types.UnionType, Union):
        return _read_union(where, value, get_args(annotation))
    if origin is Literal:
        choices = get_args(annotation)
        for choice in choices:
            if value == choice or (isinstance(value, str) and _unquoted(value) == str(choice)):
                return choice
        texts = [str(choice) for choice in choices]
        raise UnknownNameError(
            f"{where}: expected one of {', '.join(texts)}, got {value!r}"
            f"{nearest(str(value), texts)}"
        )
    if origin is tuple:
        return _read_tuple(where, value, get_args(annotation)[0])
    if isinstance(value, str):
        value = _from_text(where, value, annotation)
    if annotation is Path and isinstance(value, str | Path):
        return Path(value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    is_wrong_bool = annotation is not bool and isinstance(value, bool)
    if not isinstance(value, annotation) or is_wrong_bool:
        kind = _KINDS.get(annotation, annotation.__name__)
        raise HyperparameterError(f"{where}: expected {kind}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise HyperparameterError(f"{where}: expected a finite number, got {value}")
    return value


def _read_union(where: str, value: Any, members: tuple[Any, ...]) -> Any:
    if value is None or value == "none":
        if types.NoneType in members:
            return None
        raise HyperparameterError(f"{where}: expected a value, got none")
    plain = [member for member in members if member is not types.NoneType and _is_plain(member)]
    for member in plain[:-1]:
        try:
            return _read_plain(where, value, member)
        except (HyperparameterError, UnknownNameError):
            continue
    return _read_plain(where, value, plain[-1])


def _read_tuple(where: str, value: Any, item: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        text = _unquoted(value)
        # A plus after an exponent's e belongs to the number.
        value = re.split(r"(?<![0-9][eE])\+", text) if text not in ("", "none") else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise HyperparameterError(f"{where}: expected a list, got {value!r}")
    return tuple(_read_plain(where, entry, item) for entry in value)


def _from_text(where: str, text: str, annotation: Any) -> Any:
    if annotation is str:
        return _unquoted(text)
    if annotation is bool and text.lower() in ("true", "false", "yes", "no", "1", "0"):
        return text.lower() in ("true", "yes", "1")
    if annotation in (int, float):
        try:
            return int(text) if annotation is int else _number(text)
        except (ValueError, ZeroDivisionError) as error:
            kind = _KINDS[annotation]
            raise HyperparameterError(f"{where}: expected {kind}, got {text!r}") from error
    return _unquoted(text)


def _number(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(text)


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


# What a part's class says of its settings.


def _settings(cls: type[Any]) -> tuple[Setting, ...]:
    """Return the settings that text can give: plain values and nested parts."""
    return tuple(
        setting
        for setting in _fields(cls)
        if setting.family is not None or _is_plain(setting.annotation)
    )


_FIELDS: dict[type[Any], tuple[Setting, ...]] = {}


def _fields(cls: type[Any]) -> tuple[Setting, ...]:
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


def _family(annotation: Any) -> Family[Any] | None:
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, Family):
                return note
    for inner in get_args(annotation) if get_origin(annotation) is not Literal else ():
        found = _family(inner)
        if found is not None:
            return found
    return None


def _is_plain(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_plain(get_args(annotation)[0])
    if origin is Literal:
        return True
    if origin in (types.UnionType, Union):
        return any(_is_plain(a) for a in get_args(annotation) if a is not types.NoneType)
    if origin is tuple:
        arguments = get_args(annotation)
        return len(arguments) == 2 and arguments[1] is Ellipsis and _is_plain(arguments[0])
    return annotation in (bool, int, float, str, Path)


def _is_tuple(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_tuple(get_args(annotation)[0])
    return get_origin(annotation) is tuple


def _allows_none(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _allows_none(get_args(annotation)[0])
    is_union = get_origin(annotation) in (types.UnionType, Union)
    return is_union and any(_allows_none(a) or a is types.NoneType for a in get_args(annotation))


# Writing.


class _NotTextError(Exception):
    """A setting holds what no text can."""


def _text_items(part: Any) -> list[tuple[str, str]]:
    items: list[tuple[str, str]] = []
    for setting in _fields(type(part)):
        value = getattr(part, setting.key)
        if not setting.is_needed and _equal(value, setting.default):
            continue
        items += _text_of(setting.key, value, setting)
    return items


def _text_of(key: str, value: Any, setting: Setting) -> list[tuple[str, str]]:
    family = setting.family
    if family is None or value is None:
        return [(key, _plain_text(value))]
    if isinstance(value, tuple):
        texts = [family.text(item) for item in value]
        if any(mark in text for text in texts for mark in ",+"):
            raise _NotTextError
        return [(key, "+".join(texts) if texts else "none")]
    name = family.name_of(value)
    if name is None:
        raise _NotTextError
    positional = getattr(type(value), "positional", None)
    inner = _text_items(value)
    first = [text for inner_key, text in inner if inner_key == positional]
    head = f"{name}:{first[0]}" if first else name
    if first and first[0][:1] in "\"'":
        raise _NotTextError
    others = [(f"{key}.{inner_key}", text) for inner_key, text in inner if inner_key != positional]
    return [(key, head), *others]


def _plain_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, tuple):
        return "+".join(_plain_text(item) for item in value) if value else "none"
    if isinstance(value, str | Path):
        text = str(value)
        if not re.search(r"[,\"'\s]", text) and text not in ("", "none"):
            return text
        for quote in "'\"":
            if quote not in text:
                return f"{quote}{text}{quote}"
    raise _NotTextError


def _plain(value: Any, setting: Setting) -> Any:
    """Return a value as JSON holds it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item, setting) for item in value]
    if setting.family is not None and setting.family.name_of(value) is not None:
        return setting.family.table(value)
    return repr(value)


def _equal(value: Any, default: Any) -> bool:
    try:
        return type(value) is type(default) and bool(value == default)
    except (TypeError, ValueError, RuntimeError):  # tensors compare to tensors
        return False


def _path(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"

"""The registry of one kind of part."""

import dataclasses
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from typing import Any, Generic, TypeVar, cast

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts.announced import Announced
from steadygrad.parts.constructed import with_checked_settings
from steadygrad.parts.reading import build_part, nested, read_items, split_name
from steadygrad.parts.settings import FamilyNote, Setting, fields_of, settings_of
from steadygrad.parts.values import NotTextError, nearest
from steadygrad.parts.writing import plain_value, text_items

__all__ = ["Family"]

P = TypeVar("P")
C = TypeVar("C", bound=type[Any])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Family(FamilyNote, Generic[P]):
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
        self._announced = Announced(kind, self.group, self._paths)

    def __repr__(self) -> str:
        return f"Family({self.kind!r})"

    @property
    def one(self) -> str:
        """The kind with its article, for sentences: "an attack"."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

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
        if not _NAME.fullmatch(name):
            raise HyperparameterError(
                f"expected a name of letters, digits, '-', '_' and '.' for {self.one}, got {name!r}"
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
            return with_checked_settings(cls, f"{self.kind} {name}")

        return add

    # Which parts there are.

    def names(self) -> tuple[str, ...]:
        """Return every name, in the order of registration, other packages' last."""
        self._load_home()
        return (
            *self._classes,
            *(name for name in self._announced.names() if name not in self._classes),
        )

    def _buildable(self) -> list[str]:
        """Return the names that a text can build: not those of what a program has to give."""
        return [name for name in self.names() if not _is_given(self._classes.get(name))]

    def __iter__(self) -> Iterator[type[Any]]:
        """Yield every registered class, those of other packages included."""
        return (self.get(name) for name in self.usable_names())

    def usable_names(self) -> tuple[str, ...]:
        """Return ``names`` without those whose package cannot be loaded, each with a warning."""
        usable = []
        for name in self.names():
            try:
                self.get(name)
            except HyperparameterError as error:  # a broken package must not stop the others
                warnings.warn(str(error), stacklevel=2)
            else:
                usable.append(name)
        return tuple(usable)

    def get(self, name: str) -> type[Any]:
        """Return the class registered under ``name``.

        Raises:
            UnknownNameError: there is none; names the nearest one and lists all.
            HyperparameterError: the package that announces it cannot be imported.
        """
        self._load_home()
        if name not in self._classes and name in self._announced.names():
            self._load_plugin(name)
        if name not in self._classes:
            raise self._unknown(name, self._buildable())
        return self._classes[name]

    def _unknown(self, name: str, offered: tuple[str, ...] | list[str]) -> UnknownNameError:
        return UnknownNameError(
            f"unknown {self.kind} {name!r}{nearest(name, offered)}; "
            f"choose one of {', '.join(offered)}"
        )

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
        return settings_of(self.get(name))

    def is_text_of(self, text: str) -> bool:
        """Return whether ``text`` begins with the name of a part of this family."""
        return split_name(text)[0] in self.names()

    # From text, table or object to part.

    def parse(self, text: str, **defaults: Any) -> P:
        """Return the part that ``text`` describes.

        Args:
            text: ``NAME`` or ``NAME:settings``, see ``steadygrad.parts``.
            defaults: settings that hold where the text is silent and the part has them.

        Raises:
            UnknownNameError: there is no such part or choice.
            HyperparameterError: the text is malformed, or a setting is unknown, missing or refused.
        """
        name, rest = split_name(text)
        if name not in self.names() and self._fallback is not None:
            found = self._fallback(text.strip())
            if found is not None:
                return found
        cls = self.get(name)
        where = f"{self.kind} {name}"
        values = nested(read_items(rest, cls, where), where)
        return cast("P", build_part(cls, where, _with_defaults(cls, values, defaults)))

    def build(self, table: Mapping[str, Any], **defaults: Any) -> P:
        """Return the part that a table with a ``name`` and settings describes.

        Raises:
            UnknownNameError, HyperparameterError: as ``parse``.
        """
        values = dict(table)
        name = values.pop("name", None)
        if not isinstance(name, str):
            raise HyperparameterError(
                f"expected a table with the name of {self.one}, got {dict(table)!r}"
            )
        cls = self.get(name)
        values = _with_defaults(cls, values, defaults)
        return cast("P", build_part(cls, f"{self.kind} {name}", values))

    def of(self, value: "P | str | Mapping[str, Any]", **defaults: Any) -> P:
        """Return the part that a text or a table describes, or the object as it is.

        Raises:
            UnknownNameError, HyperparameterError: as ``parse``; also for a value that is neither.
        """
        if isinstance(value, str):
            return self.parse(value, **defaults)
        if isinstance(value, Mapping):
            return self.build(value, **defaults)
        if value is None or isinstance(value, Number | list | tuple | type):
            raise HyperparameterError(f"expected {self.one}, got {value!r}")
        return value

    # From part to text and table.

    def text(self, part: P) -> str:
        """Return the shortest text that ``parse`` turns into an equal part.

        An object that is not registered, or holds what text cannot, gives its ``repr``. A part with
        an attribute ``own_text`` gives that: a text that ``fallback`` reads.
        """
        own = getattr(part, "own_text", None)
        if isinstance(own, str):
            return own
        name = self.name_of(part)
        if name is None:
            return repr(part)
        try:
            items = text_items(part)
        except NotTextError:
            return repr(part)
        positional = getattr(type(part), "positional", None)
        first = [value for key, value in items if key == positional]
        others = [f"{key}={value}" for key, value in items if key != positional]
        rest = ",".join(first + others)
        return f"{name}:{rest}" if rest else name

    def table(self, part: P) -> dict[str, Any]:
        """Return the name and all settings, defaults included, as values that JSON can hold.

        A setting that JSON cannot hold appears as its ``repr`` unless it is at its default. An
        unregistered object has the name of its class.
        """
        name = self.name_of(part) or type(part).__name__
        settable = settings_of(type(part))
        return {"name": name} | {
            setting.key: plain_value(getattr(part, setting.key), setting)
            for setting in fields_of(type(part))
            if setting in settable or getattr(part, setting.key) is not setting.default
        }

    # Built-in parts and those of other packages.

    def _load_home(self) -> None:
        importlib.import_module(self.home)

    def _paths(self) -> dict[str, str]:
        return {n: f"{cls.__module__}:{cls.__qualname__}" for n, cls in self._classes.items()}

    def _load_plugin(self, name: str) -> None:
        found = self._announced.load(name)
        if name not in self._classes:
            if not isinstance(found, type):
                raise HyperparameterError(
                    f"expected the {self.kind} {name!r} of the package "
                    f"{self._announced.package(name)} to be a class, got {found!r}"
                )
            self.register(name)(found)


def _with_defaults(
    cls: type[Any], values: dict[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    known = {setting.key for setting in settings_of(cls)}
    return {key: value for key, value in defaults.items() if key in known} | values


def _path(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_given(cls: type[Any] | None) -> bool:
    """Return whether parts of a class hold an object that no setting describes."""
    if cls is None:
        return False
    return any(not (field.init or field.repr or field.compare) for field in dataclasses.fields(cls))

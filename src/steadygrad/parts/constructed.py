"""A part built in Python: its settings are of the kinds it declares, as text and table assure."""

import functools
import os
import types
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts.settings import fields_of
from steadygrad.parts.values import KINDS, nearest, python_numbers

__all__ = ["with_checked_settings"]

C = TypeVar("C", bound=type[Any])


def with_checked_settings(cls: C, where: str) -> C:
    """Return the class, whose constructor from now on refuses a setting of another kind.

    The part's own checks come first: they can say more. ``where`` opens the sentence. Numbers of
    other libraries become Python's, which text, table and stored state can hold.
    """
    construct = cls.__init__
    if hasattr(construct, "checks_settings"):  # registered again, under another name
        return cls

    @functools.wraps(construct)
    def constructed(self: Any, *arguments: Any, **settings: Any) -> None:
        arguments = python_numbers(arguments)
        settings = {key: python_numbers(value) for key, value in settings.items()}
        try:
            construct(self, *arguments, **settings)
        except (AttributeError, TypeError):  # a check of its own met what it cannot compare
            _refuse_other_kinds(self, where)
            raise
        _refuse_other_kinds(self, where)

    constructed.checks_settings = True  # type: ignore[attr-defined] # a mark on a function
    cls.__init__ = constructed
    return cls


def _refuse_other_kinds(part: Any, where: str) -> None:
    for setting in fields_of(type(part)):
        if hasattr(part, setting.key):  # a constructor that failed may not have come so far
            value = getattr(part, setting.key)
            _refuse_unless_of_kind(f"{where}: {setting.key}", value, setting.annotation)


def _refuse_unless_of_kind(where: str, value: Any, annotation: Any) -> None:
    if _is_of_kind(value, annotation):
        return
    members = [member for member in _members(annotation) if member is not types.NoneType]
    choices = [str(c) for m in members if get_origin(m) is Literal for c in get_args(m)]
    if choices:
        raise UnknownNameError(
            f"{where}: expected one of {', '.join(choices)}, got {value!r}"
            f"{nearest(str(value), choices)}"
        )
    kinds = " or ".join(dict.fromkeys(KINDS[member] for member in members))
    raise HyperparameterError(f"{where}: expected {kinds}, got {value!r}")


def _is_of_kind(value: Any, annotation: Any) -> bool:
    """Return whether a value fits a type; True for types of which nothing is known here."""
    members = _members(annotation)
    if len(members) > 1:
        return any(_is_of_kind(value, member) for member in members)
    (member,) = members
    if member is types.NoneType:
        return value is None
    if get_origin(member) is Literal:
        return value in get_args(member)
    if member not in KINDS:
        return True
    if member in (int, float):
        allowed = int if member is int else int | float
        return isinstance(value, allowed) and not isinstance(value, bool)
    return isinstance(value, (str, os.PathLike) if member is Path else member)


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the types that a type allows, one unless it is a union."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, Union):
        return tuple(member for each in get_args(annotation) for member in _members(each))
    return (annotation,)

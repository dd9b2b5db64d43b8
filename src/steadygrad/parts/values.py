"""Plain values of settings, from text and to text: numbers, choices, texts and lists of them."""

import difflib
import math
import numbers
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts.settings import is_plain

__all__ = [
    "KINDS",
    "NotTextError",
    "nearest",
    "number_text",
    "plain_text",
    "python_numbers",
    "read_plain",
    "unquoted",
]

KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}
"""What the values of a plain type are called in sentences."""


class NotTextError(Exception):
    """A setting holds what no text can."""


def nearest(name: str, choices: tuple[str, ...] | list[str]) -> str:
    """Return " (did you mean 'X'?)" for a misspelt name, or nothing if no choice is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def python_numbers(value: Any) -> Any:
    """Return a number of another library, such as NumPy's, as Python's; a tuple of them, too."""
    if type(value) in (bool, int, float):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return tuple(map(python_numbers, value)) if type(value) is tuple else value


def read_plain(where: str, value: Any, annotation: Any) -> Any:
    """Return a text, or a value from TOML or JSON, as a value of this type.

    Raises:
        UnknownNameError, HyperparameterError: it cannot be read so; ``where`` opens the sentence.
    """
    value, origin = python_numbers(value), get_origin(annotation)
    if origin is Annotated:
        return read_plain(where, value, get_args(annotation)[0])
    if origin in (types.UnionType, Union):
        return _read_union(where, value, get_args(annotation))
    if origin is Literal:
        choices = get_args(annotation)
        for choice in choices:
            if value == choice or (isinstance(value, str) and unquoted(value) == str(choice)):
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
        try:
            value = float(value)
        except OverflowError:
            raise HyperparameterError(
                f"{where}: expected a number up to 1.8e308, got a larger one"
            ) from None
    is_wrong_bool = annotation is not bool and isinstance(value, bool)
    if not isinstance(value, annotation) or is_wrong_bool:
        kind = KINDS.get(annotation, annotation.__name__)
        raise HyperparameterError(f"{where}: expected {kind}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise HyperparameterError(f"{where}: expected a finite number, got {value}")
    return value


def _read_union(where: str, value: Any, members: tuple[Any, ...]) -> Any:
    if value is None or value == "none":
        if types.NoneType in members:
            return None
        raise HyperparameterError(f"{where}: expected a value, got none")
    plain = [member for member in members if member is not types.NoneType and is_plain(member)]
    for member in plain[:-1]:
        try:
            return read_plain(where, value, member)
        except (HyperparameterError, UnknownNameError):
            continue
    return read_plain(where, value, plain[-1])


def _read_tuple(where: str, value: Any, item: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        text = unquoted(value)
        # A plus after an exponent's e belongs to the number.
        value = re.split(r"(?<![0-9][eE])\+", text) if text not in ("", "none") else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise HyperparameterError(f"{where}: expected a list, got {value!r}")
    return tuple(read_plain(where, entry, item) for entry in value)


def _from_text(where: str, text: str, annotation: Any) -> Any:
    if annotation is str:
        return unquoted(text)
    if annotation is bool and text.lower() in ("true", "false", "yes", "no", "1", "0"):
        return text.lower() in ("true", "yes", "1")
    if annotation in (int, float):
        try:
            return int(text) if annotation is int else read_number(text)
        except (ValueError, ZeroDivisionError) as error:
            kind = KINDS[annotation]
            raise HyperparameterError(f"{where}: expected {kind}, got {text!r}") from error
    return unquoted(text)


def read_number(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(text)


def unquoted(text: str) -> str:
    """Return a text without the quotes around it, if it has any."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def number_text(value: float) -> str:
    """Return a number as short as it can be read back exactly: 0.2, 1e-05, 8/255, 1.5/255."""
    plain = repr(value)
    plain = plain.removesuffix(".0") if math.isfinite(value) else plain
    for numerator in (value * 255, value * 510):
        k = round(numerator) if math.isfinite(numerator) else 0
        scaled = k / (1 if numerator == value * 255 else 2)
        if k and scaled / 255 == value:
            fraction = f"{scaled:g}/255"
            if read_number(fraction) == value and len(fraction) < len(plain):
                return fraction
    return plain


def plain_text(value: Any) -> str:
    """Return the text that ``read_plain`` reads as an equal value.

    Raises:
        NotTextError: there is none.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, tuple):
        return "+".join(plain_text(item) for item in value) if value else "none"
    if isinstance(value, str | Path):
        text = str(value)
        if not re.search(r"[,\"'\s]", text) and text not in ("", "none"):
            return text
        for quote in "'\"":
            if quote not in text:
                return f"{quote}{text}{quote}"
    raise NotTextError

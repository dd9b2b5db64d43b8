"""Names in figures: over few lines, and shortened so that no two of a figure look alike."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["wrapped", "wrapped_names"]

MOST_LINES = 3


class _NameWrapper(textwrap.TextWrapper):
    """Breaks lines behind commas, colons, slashes and equals signs too: names have few spaces."""

    wordsep_re = re.compile(r"(\s+|(?<=[,:/=])(?=\S)|(?<=\w-)(?=\w))")


def wrapped(name: str, width: int = 26) -> str:
    """Return a name over at most three lines of about ``width`` letters.

    A longer one loses its middle: names of runs often begin alike and differ at the end.
    """
    lines = _lines(name, width)
    if len(lines) > MOST_LINES:
        end = " ".join(name.split())[1 - width :]
        lines = [*lines[: MOST_LINES - 1], f"…{end.lstrip()}"]
    return "\n".join(lines)


def wrapped_names(names: Iterable[str], width: int = 26) -> list[str]:
    """Return the names of one figure, each as ``wrapped`` has it unless two would look alike.

    Those that would, and what is too long and begins like them, keep their first line and what not
    all of them have; if that does not tell them apart either, they stand there whole.
    """
    names = list(names)
    written = {name: wrapped(name, width) for name in names}
    begins = {_lines(name, width)[0] for name, *_ in _alike(written)}
    for begin in begins:
        family = [name for name in written if _is_too_long(name, begin, width)]
        rests = [" ".join(name.split())[len(begin) :].lstrip() for name in family]
        for name, rest in zip(family, _without_shared_parts(rests), strict=True):
            written[name] = "\n".join([begin, *_lines(rest, width)])
    for name in [name for group in _alike(written) for name in group]:
        written[name] = "\n".join(_lines(name, width))
    return [written[name] for name in names]


def _lines(name: str, width: int) -> list[str]:
    return _NameWrapper(width).wrap(name) or [name]


def _is_too_long(name: str, begin: str, width: int) -> bool:
    lines = _lines(name, width)
    return lines[0] == begin and len(lines) > MOST_LINES


def _alike(written: Mapping[str, str]) -> list[list[str]]:
    """Return the groups of names that are written in the same way."""
    groups: dict[str, list[str]] = {}
    for name, text in written.items():
        groups.setdefault(text, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


# Behind commas, colons and spaces; behind other signs only before a letter: numbers stay whole.
_PARTS = re.compile(r"(?<=[,:\s])|(?<=[-_/])(?=[^\W\d_])")


def _without_shared_parts(names: Sequence[str]) -> list[str]:
    """Return each name with an ellipsis for every run of parts that all of them have."""
    parted = [_PARTS.split(name) for name in names]
    shared = set.intersection(*map(set, parted))
    shortened = ("".join("\0" if part in shared else part for part in parts) for parts in parted)
    return [re.sub("\0+", "…", text) for text in shortened]

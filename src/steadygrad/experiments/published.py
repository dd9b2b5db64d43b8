"""The numbers that the papers print, by the place they stand at in the data files beside this."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from steadygrad.errors import UnknownNameError

__all__ = ["published_number", "published_numbers", "setting_paths"]

PAPERS = ("yeats2021", "roth2018")


@cache
def published_numbers(paper: str) -> Mapping[str, float]:
    """Return every number of a paper's data file, by its path, such as "nes_query_attack/epsilon".

    A path leads through the file's keys; items of a list are counted from 0.
    Raises: UnknownNameError, if ``paper`` is not "yeats2021" or "roth2018".
    """
    if paper not in PAPERS:
        raise UnknownNameError(f"expected paper one of {', '.join(PAPERS)}, got {paper!r}")
    text = files("steadygrad.experiments").joinpath(f"published/{paper}.json").read_text("utf-8")
    return dict(_numbers(json.loads(text), ""))


def published_number(paper: str, path: str) -> float:
    """Return the number that a paper prints, in the paper's units (accuracies in percent).

    Raises: UnknownNameError, if the data file has no number at ``path``.
    """
    numbers = published_numbers(paper)
    if path not in numbers:
        raise UnknownNameError(f"{paper} prints no number called {path!r}")
    return numbers[path]


def setting_paths(paper: str, settings: Iterable[str]) -> tuple[str, ...]:
    """Return the whole paths of the printed numbers that are no results but settings.

    Args:
        paper: as in ``published_numbers``.
        settings: paths in the data file, or their beginnings up to a "/".
    """
    wanted = tuple(settings)
    return tuple(
        path
        for path in published_numbers(paper)
        if any(path.startswith(s) if s.endswith("/") else path == s for s in wanted)
    )


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _numbers(inner, f"{path}/{key}" if path else str(key))
    elif isinstance(value, int | float):
        yield path, float(value)

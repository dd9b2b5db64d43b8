"""The program as tests call it."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["TINY", "Outcome", "Program", "replaced"]


class Outcome(NamedTuple):
    """Exit code and what was written to the two streams."""

    code: int
    out: str
    err: str


Program = Callable[..., Outcome]

TINY = ("--dataset", "digits", "--limit-train", 128, "--epochs", 1, "--batch-size", 32)
"""Training settings for a run of a second."""


def replaced(arguments: tuple[object, ...], options: tuple[object, ...]) -> tuple[object, ...]:
    """Return the arguments with other options, each with its value: no option is given twice."""
    kept = list(arguments)
    for option in options:
        if option in kept and str(option).startswith("--"):
            place = kept.index(option)
            del kept[place : place + 2]
    return (*kept, *options)

"""The program as tests call it."""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["TINY", "Outcome", "Program"]


class Outcome(NamedTuple):
    """Exit code and what was written to the two streams."""

    code: int
    out: str
    err: str


Program = Callable[..., Outcome]

TINY = ("--dataset", "digits", "--limit-train", 128, "--epochs", 1, "--batch-size", 32)
"""Training settings for a run of a second."""

"""One thing that makes a model, its images or its labels unfit for an audit, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad.errors import ModelError

__all__ = ["Problem", "UnfitError", "first_line"]


@dataclass(frozen=True)
class Problem:
    """What was seen and how to mend it, each one sentence without a full stop.

    name: such as "probabilities"; is_fatal: whether an audit would give a wrong number.
    """

    name: str
    what: str
    remedy: str
    is_fatal: bool


class UnfitError(ModelError):
    """A model cannot be audited on these images and labels; ``problems`` holds all that was seen.

    The text is one sentence that names every fatal problem and its remedy.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        fatal = [f"{problem.what} ({problem.remedy})" for problem in problems if problem.is_fatal]
        super().__init__(f"this cannot be audited: {'; '.join(fatal)}")


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its text, for use inside a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__

"""What a diagnostic of gradient masking found, and what all of them say together."""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Finding", "Verdict"]


@dataclass(frozen=True)
class Finding:
    """The answer of one diagnostic, as a number, its threshold and its meaning in plain words.

    name: such as "more-steps"; question: what it asks of the model.
    measured: the number, None if it was not tested; unit: how to read it.
    threshold: beyond it the number is suspicious.
    evidence: the numbers behind ``measured``, as JSON can hold them.
    """

    name: str
    question: str
    measured: float | None
    threshold: float
    unit: str
    status: Literal["passed", "suspicious", "not tested"]
    meaning: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """How far an audit's accuracy can be believed.

    summary: one or two sentences for a person.
    causes: what the findings point at, such as "randomness"; reasons: the findings' names.
    """

    level: Literal["no sign of masking", "doubtful", "masked", "incomplete"]
    summary: str
    causes: tuple[str, ...]
    reasons: tuple[str, ...]

"""Diagnostics as parts: one question about a model each, with a number, a threshold, a meaning.

A diagnostic is a frozen dataclass that is called with a ``Sample`` and returns a ``Finding``. What
a finding of it says about the model, its role and its cause, stands beside its name::

    @diagnostic("my-test", question="...?", unit="...", role="symptom", cause="bad gradients")
    @dataclass(frozen=True, kw_only=True)
    class MyTest(Diagnostic):
        threshold: float = 0.1

        def __call__(self, sample: Sample) -> Finding:
            return self.answered(..., passed="...", suspicious="...", evidence={})

Registered, or announced under the entry point group ``steadygrad.diagnostics``, it takes part in
every diagnosis and verdict.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.parts import Family

if TYPE_CHECKING:  # a sample runs attacks; what a diagnostic is does not depend on how
    from steadygrad.evaluation.masking.sample import Sample

__all__ = [
    "DIAGNOSTICS",
    "Diagnostic",
    "DiagnosticTraits",
    "Finding",
    "Role",
    "Verdict",
    "diagnostic",
    "diagnostic_names",
    "traits_of",
]

Role: TypeAlias = Literal["mechanism", "symptom", "hint", "weak-settings"]
"""What a suspicious finding shows: how gradients are hidden ("mechanism"); that attacks with
gradients fail where they should not, whatever the reason ("symptom"); a reason for doubt and no
more ("hint"); that an attack was weak, which says nothing about the model ("weak-settings")."""

Level: TypeAlias = Literal[
    "no sign of masking", "doubtful", "masked", "incomplete", "nothing tested"
]
"""How far an audit's accuracy can be believed."""

DiagnosticClass = TypeVar("DiagnosticClass", bound="type[Diagnostic]")


@dataclass(frozen=True)
class Finding:
    """The answer of one diagnostic.

    Args:
        name: the diagnostic's, such as "more-steps".
        question: what it asks of the model.
        measured: the number; None if it was not tested.
        threshold: beyond it the number is suspicious.
        unit: how to read the number.
        status: "not tested" where there is no number.
        meaning: what the number means, in one or two sentences.
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

    @property
    def is_late(self) -> bool:
        """Whether it was not tested because the time was up."""
        return bool(self.evidence.get("out_of_time", False))


@dataclass(frozen=True)
class Verdict:
    """How far an audit's accuracy can be believed.

    Args:
        level: the judgement.
        summary: one or two sentences for a person.
        causes: what the findings point at, such as "randomness".
        reasons: the names of the findings.
    """

    level: Level
    summary: str
    causes: tuple[str, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Verdict":
        """Return the verdict that a record of JSON holds.

        Raises:
            KeyError, TypeError, ValueError: it holds none.
        """
        if record["level"] not in get_args(Level):
            raise ValueError(f"there is no verdict {record['level']!r}")
        return cls(
            level=record["level"],
            summary=record["summary"],
            causes=tuple(record["causes"]),
            reasons=tuple(record["reasons"]),
        )


@dataclass(frozen=True)
class DiagnosticTraits:
    """What others ask of a diagnostic without running it.

    Args:
        question: what it asks of the model.
        unit: how to read its number.
        role: what a suspicious finding of it shows.
        cause: what the verdict then names.
        essential: whether "no sign of masking" needs it to have passed.
        explained_by: causes of which this one is a consequence; beside them it is not named.
        asks_for: texts of attacks, such as "straight-through" or "pgd:steps=200", that an audit
            runs where the finding is suspicious, since they are not misled in the same way; the
            cheapest first.
    """

    question: str
    unit: str
    role: Role
    cause: str
    essential: bool = False
    explained_by: tuple[str, ...] = ()
    asks_for: tuple[str, ...] = ()


class Diagnostic(ABC):
    """What every diagnostic is: settings in the fields, a sample in the call.

    Args:
        threshold: a number above it is suspicious, one that equals it is not; at least 0.

    Whole-number settings are counts, at least 1.

    Raises:
        HyperparameterError: a setting is out of range.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise HyperparameterError(f"expected threshold >= 0 and finite, got {self.threshold}")
        untyped: Any = self
        for field in dataclasses.fields(untyped):
            value = getattr(self, field.name)
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise HyperparameterError(f"expected {field.name} >= 1, got {value}")

    @abstractmethod
    def __call__(self, sample: "Sample") -> Finding:
        """Return the finding on a sample of at least one example."""

    def answered(
        self, measured: float, *, passed: str, suspicious: str, evidence: dict[str, Any]
    ) -> Finding:
        """Return the finding for a number; ``passed`` or ``suspicious`` becomes its meaning.

        measured: also a tensor or array of one number.
        """
        measured = float(measured)
        is_suspicious = measured > self.threshold
        return self._finding(
            measured,
            "suspicious" if is_suspicious else "passed",
            suspicious if is_suspicious else passed,
            evidence,
        )

    def untested(self, why: str, evidence: dict[str, Any] | None = None) -> Finding:
        """Return a finding without a number that says why there is none."""
        return self._finding(None, "not tested", why, evidence or {})

    def out_of_time(self) -> Finding:
        """Return the finding of a diagnostic for which no time was left."""
        return self.untested("No time was left for it.", {"out_of_time": True})

    def _finding(
        self,
        measured: float | None,
        status: Literal["passed", "suspicious", "not tested"],
        meaning: str,
        evidence: dict[str, Any],
    ) -> Finding:
        name = DIAGNOSTICS.name_of(self)
        if name is None:
            raise HyperparameterError(
                f"expected a registered diagnostic, got {type(self).__name__}: put "
                "@diagnostic(NAME, ...) above the class"
            )
        traits = traits_of(name)
        return Finding(
            name=name,
            question=traits.question,
            measured=measured,
            threshold=self.threshold,
            unit=traits.unit,
            status=status,
            meaning=meaning,
            evidence=evidence,
        )


DIAGNOSTICS: Family[Diagnostic] = Family(
    "diagnostic", "steadygrad.evaluation.masking", group="steadygrad.diagnostics"
)
"""Every registered diagnostic of gradient masking, in the order in which they run."""


def diagnostic(
    name: str,
    *,
    question: str,
    unit: str,
    role: Role,
    cause: str,
    essential: bool = False,
    explained_by: tuple[str, ...] = (),
    asks_for: tuple[str, ...] = (),
) -> Callable[[DiagnosticClass], DiagnosticClass]:
    """Return a class decorator that registers a diagnostic; see ``DiagnosticTraits``.

    Raises:
        UnknownNameError: there is no such role.
        HyperparameterError: the name belongs to another diagnostic, or the class is no frozen
            dataclass.
    """
    if role not in get_args(Role):
        raise UnknownNameError(f"expected role one of {', '.join(get_args(Role))}, got {role!r}")
    traits = DiagnosticTraits(question, unit, role, cause, essential, explained_by, asks_for)
    return DIAGNOSTICS.register(name, traits)


def diagnostic_names() -> tuple[str, ...]:
    """Return the names of all diagnostics, in the order in which they run."""
    return DIAGNOSTICS.names()


def traits_of(name: str) -> DiagnosticTraits:
    """Return what is said of the diagnostic of that name.

    Raises:
        UnknownNameError: there is none; lists all.
        HyperparameterError: it was registered without its role and cause.
    """
    traits = DIAGNOSTICS.about(name)
    if not isinstance(traits, DiagnosticTraits):
        raise HyperparameterError(
            f"the diagnostic {name!r} does not say what its findings show: register it with "
            "steadygrad.evaluation.masking.diagnostic"
        )
    return traits

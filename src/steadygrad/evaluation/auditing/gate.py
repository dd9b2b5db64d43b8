"""When an audit fails a build: too little accuracy, or a verdict that is not accepted."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.auditing.result import AuditResult

__all__ = ["FAIL_LEVELS", "MEASURES", "Gate", "Measure"]

Measure: TypeAlias = Literal["worst-case", "lower-bound", "clean"]
"""What is held against the limit: accuracy in the worst case, the lower end of its 95 % interval,
or accuracy without attack."""

MEASURES: tuple[Measure, ...] = get_args(Measure)

FAIL_LEVELS = ("masked", "doubtful", "incomplete")
"""Verdicts that may fail a build; "incomplete" stands for "nothing tested" too."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What an audit must reach.

    Args:
        fail_under: least accuracy, in [0, 1]; None asks for none.
        measure: what is held against it.
        fail_on: verdicts that fail.

    Raises:
        HyperparameterError: ``fail_under`` is out of range.
        UnknownNameError: there is no such measure or verdict.
    """

    fail_under: float | None = None
    measure: Measure = "worst-case"
    fail_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fail_under is not None and not 0 <= self.fail_under <= 1:
            raise HyperparameterError(
                "expected fail_under as a fraction of the images in [0, 1], "
                f"got {self.fail_under:g}"
            )
        if self.measure not in MEASURES:
            raise UnknownNameError(
                f"expected one of {', '.join(MEASURES)} to compare with fail_under, "
                f"got {self.measure!r}"
            )
        for level in self.fail_on:
            if level not in FAIL_LEVELS:
                raise UnknownNameError(
                    f"expected verdicts to fail on among {', '.join(FAIL_LEVELS)}, got {level!r}"
                )

    def accuracy_failure(self, result: AuditResult) -> str | None:
        """Return why the accuracy fails, a sentence; None if it does not."""
        if self.fail_under is None:
            return None
        limit = f"below the {100 * self.fail_under:g} % asked for"
        if self.measure == "clean":
            reached, what = result.clean.accuracy, "the accuracy without attack is"
        elif not result.is_established:
            return (
                f"the accuracy under attack is not established ({result.verdict.level}), where "
                f"{100 * self.fail_under:g} % are asked for"
            )
        elif self.measure == "worst-case":
            reached, what = result.worst_case.accuracy, "the accuracy in the worst case is"
        else:
            reached = result.worst_case.ci95[0]
            what = "the lower end of the worst case's 95 % interval is"
        return None if reached >= self.fail_under else f"{what} {100 * reached:.1f} %, {limit}"

    def verdict_failure(self, result: AuditResult) -> str | None:
        """Return why the verdict fails, a sentence; None if it does not."""
        level = result.verdict.level
        is_refused = level in self.fail_on or (
            level == "nothing tested" and "incomplete" in self.fail_on
        )
        return f"the verdict is: {level}" if is_refused else None

    def failure(self, result: AuditResult) -> str | None:
        """Return why the audit fails, one sentence; None if it passes."""
        found = [self.accuracy_failure(result), self.verdict_failure(result)]
        reasons = [reason for reason in found if reason is not None]
        return "; ".join(reasons) if reasons else None

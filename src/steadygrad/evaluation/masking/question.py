"""What a diagnostic asks, and from which number on the answer is suspicious."""

from dataclasses import dataclass
from typing import Any

from steadygrad.evaluation.masking.finding import Finding

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """The fixed half of a ``Finding``; the number measured on a model makes it whole.

    name, text, unit: the finding's name, question and unit.
    threshold: a number above it is suspicious, one that equals it is not.
    """

    name: str
    text: str
    threshold: float
    unit: str

    def answered(
        self, measured: float, *, passed: str, suspicious: str, evidence: dict[str, Any]
    ) -> Finding:
        """Return the finding; ``passed`` or ``suspicious`` becomes its meaning."""
        is_suspicious = measured > self.threshold
        return Finding(
            name=self.name,
            question=self.text,
            measured=measured,
            threshold=self.threshold,
            unit=self.unit,
            status="suspicious" if is_suspicious else "passed",
            meaning=suspicious if is_suspicious else passed,
            evidence=evidence,
        )

    def untested(self, why: str, evidence: dict[str, Any] | None = None) -> Finding:
        """Return a finding without a number that says why there is none."""
        return Finding(
            name=self.name,
            question=self.text,
            measured=None,
            threshold=self.threshold,
            unit=self.unit,
            status="not tested",
            meaning=why,
            evidence=evidence or {},
        )

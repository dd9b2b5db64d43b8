"""What an audit found out, and its JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from steadygrad._typing import Labels
from steadygrad.evaluation.audit.audit_gallery import AuditGallery
from steadygrad.evaluation.audit.batch_size import BatchSize
from steadygrad.evaluation.audit.fitness import Problem
from steadygrad.evaluation.audit.outcome import AttackOutcome
from steadygrad.evaluation.curve import AccuracyPoint
from steadygrad.evaluation.masking import Finding, Verdict

__all__ = ["SCHEMA_VERSION", "AuditResult"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditResult:
    """A battery of attacks on one model at one radius, and how far to believe the outcome.

    model: name, digest of the weights and fingerprint of what it computes.
    data: name, split and note where they were given, n, and a digest of images and labels.
    labels: int64 (n,); clean_correct: bool (n,), which are right without attack.
    outcomes: one per attack, in the order of the battery.
    findings, verdict: of the diagnostics of gradient masking.
    untested: what was left out, and why, a sentence each.
    fitness, facts: what a look at the model before the audit found wrong, and in order.
    gallery: a few images before and after; None if no example is right without attack.
    budget: name of the battery, None for attacks of one's own alone.
    seconds: spent on attacks and diagnostics, whenever they ran.
    created: when the latest of them was done, UTC, ISO 8601. versions: of steadygrad, torch,
    Python.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    eps: float
    norm: Literal["linf", "l2"]
    budget: str | None
    seed: int
    device: str
    batch_size: BatchSize
    labels: Labels = field(repr=False)
    clean_correct: Tensor = field(repr=False)
    outcomes: tuple[AttackOutcome, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    untested: tuple[str, ...]
    fitness: tuple[Problem, ...]
    facts: tuple[str, ...]
    gallery: AuditGallery | None = field(repr=False)
    seconds: float
    created: str
    versions: Mapping[str, str]

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def broken(self) -> Tensor:
        """Which right examples any attack misled, bool (n,)."""
        broken = torch.zeros_like(self.clean_correct)
        for outcome in self.outcomes:
            broken |= outcome.broken
        return broken

    @property
    def clean(self) -> AccuracyPoint:
        """Accuracy without any attack."""
        return AccuracyPoint(eps=0.0, correct=int(self.clean_correct.sum()), n=self.n)

    @property
    def worst_case(self) -> AccuracyPoint:
        """Accuracy against an attacker who tries every attack on every example."""
        standing = self.clean_correct & ~self.broken
        return AccuracyPoint(eps=self.eps, correct=int(standing.sum()), n=self.n)

    def broken_by_none_but(self, outcome: AttackOutcome) -> int:
        """Return how many examples this attack alone, of all, has misled."""
        others = torch.zeros_like(self.clean_correct)
        for other in self.outcomes:
            if other is not outcome:
                others |= other.broken
        return int((outcome.broken & ~others).sum())

    def to_json(self) -> dict[str, Any]:
        """Return everything but per-example results and pictures, as JSON can hold it.

        Numbers that are not finite become None.
        """
        record = {
            "schema_version": SCHEMA_VERSION,
            "model": dict(self.model),
            "data": dict(self.data),
            "settings": {
                "eps": self.eps,
                "norm": self.norm,
                "budget": self.budget,
                "seed": self.seed,
                "device": self.device,
                "batch_size": asdict(self.batch_size),
            },
            "clean": _point(self.clean),
            "worst_case": _point(self.worst_case),
            "verdict": asdict(self.verdict),
            "attacks": [self._attack(outcome) for outcome in self.outcomes],
            "findings": [asdict(finding) for finding in self.findings],
            "untested": list(self.untested),
            "fitness": [asdict(problem) for problem in self.fitness],
            "facts": list(self.facts),
            "seconds": self.seconds,
            "created": self.created,
            "versions": dict(self.versions),
        }
        return {name: _plain(value) for name, value in record.items()}

    def _attack(self, outcome: AttackOutcome) -> dict[str, Any]:
        point = outcome.accuracy(self.clean_correct)
        return {
            "name": outcome.name,
            "family": outcome.family,
            "attack": outcome.attack,
            "eps": outcome.eps,
            "norm": outcome.norm,
            "scope": outcome.scope,
            "attacked": int(outcome.attacked.sum()),
            "broken": int(outcome.broken.sum()),
            "broken_by_no_other": self.broken_by_none_but(outcome),
            "outside": outcome.outside,
            "accuracy": None if point is None else _point(point),
            "queries": outcome.queries,
            "gradients": outcome.gradients,
            "seconds": outcome.seconds,
            "seed": outcome.seed,
            "batch_size": outcome.batch_size,
        }


def _plain(value: Any) -> Any:
    """Return lists for tuples, and None for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _point(point: AccuracyPoint) -> dict[str, Any]:
    return {
        "accuracy": point.accuracy,
        "correct": point.correct,
        "n": point.n,
        "ci95": list(point.ci95),
    }

"""Longer attacks: whether more steps or more restarts break what fewer did not."""

import math
from dataclasses import dataclass

from torch import Tensor

from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import Sample, Subject

__all__ = [
    "Convergence",
    "MoreRestarts",
    "MoreSteps",
]


@diagnostic(
    "more-steps",
    question="Does a long attack break much that a short one does not?",
    unit="points of accuracy that more steps take off",
    role="weak-settings",
    cause="weak attack settings",
)
@dataclass(frozen=True, kw_only=True)
class MoreSteps(Diagnostic):
    """Compare PGD of few steps with PGD of many: the battery's shortest and longest, or our own.

    A gain accuses no model. It says that the short attack's accuracy is not the one to quote.
    Source: Carlini et al., arXiv:1902.06705, evaluation checklist (run attacks to convergence).
    """

    threshold: float = 5.0
    few: int = 8
    many: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        runs = _from_battery(sample.subject, restarts=1)
        if not (len(runs) > 1 and runs[-1].steps >= 4 * runs[0].steps):
            runs = [_own(sample, self.few), _own(sample, self.many)]
        short, long = runs[0], runs[-1]
        gained = _gained(short, long)
        return self.answered(
            gained,
            passed=f"PGD({long.steps}) breaks little that PGD({short.steps}) does not.",
            suspicious=(
                f"PGD({long.steps}) takes {gained:.0f} points of accuracy off that "
                f"PGD({short.steps}) leaves. Use the stronger attack: what PGD({short.steps}) "
                "leaves is not the number to quote."
            ),
            evidence=_evidence(short, long),
        )


@diagnostic(
    "convergence",
    question="Does a long attack still break more when its steps are doubled?",
    unit="points of accuracy that doubling takes off",
    role="hint",
    cause="unfinished attacks",
)
@dataclass(frozen=True, kw_only=True)
class Convergence(Diagnostic):
    """Compare PGD of many steps with PGD of twice as many from the same random starts.

    Source: Carlini et al., arXiv:1902.06705, evaluation checklist: doubling the steps of a
        converged attack changes next to nothing.
    """

    threshold: float = 2.0
    steps: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        once, twice = _own(sample, self.steps), _own(sample, 2 * self.steps)
        gained = 100 * (int(twice.broken.sum()) - int(once.broken.sum())) / once.n
        return self.answered(
            gained,
            passed=f"PGD({self.steps}) has converged: doubling its steps breaks little more.",
            suspicious=(
                f"PGD({2 * self.steps}) still takes {gained:.0f} points of accuracy off that "
                f"PGD({self.steps}) leaves: the attack has not converged, and the true robustness "
                "is lower. Give it more steps until nothing changes."
            ),
            evidence=_evidence(once, twice),
        )


@diagnostic(
    "more-restarts",
    question="Do several random starts break much that one does not?",
    unit="points of accuracy that restarts take off",
    role="weak-settings",
    cause="weak attack settings",
)
@dataclass(frozen=True, kw_only=True)
class MoreRestarts(Diagnostic):
    """Compare PGD from one random start with PGD from several: the battery's, or our own.

    Source: Carlini et al., arXiv:1902.06705, evaluation checklist (random restarts).
    """

    threshold: float = 5.0
    restarts: int = 5
    steps: int = 20

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        many = [run for run in _from_battery(sample.subject) if run.restarts > 1]
        pairs = [
            (one, run)
            for run in many
            for one in _from_battery(sample.subject, restarts=1)
            if one.steps == run.steps
        ]
        one, several = (
            pairs[-1]
            if pairs
            else (
                _own(sample, self.steps),
                _own(sample, self.steps, self.restarts),
            )
        )
        gained = _gained(one, several)
        return self.answered(
            gained,
            passed="One random start does about as well as several.",
            suspicious=(
                f"{several.restarts} starts take {gained:.0f} points of accuracy off that one "
                "leaves: the surface is rough, or the attack short. Use the stronger attack and "
                "quote its number."
            ),
            evidence=_evidence(one, several),
        )


@dataclass(frozen=True, eq=False)
class _Run:
    """PGD on the cross-entropy, and which of ``n`` right examples it broke."""

    steps: int
    restarts: int
    broken: Tensor
    n: int
    source: str


def _own(sample: Sample, steps: int, restarts: int = 1) -> _Run:
    broken = sample.broken_by(sample.pgd(steps, restarts=restarts))
    return _Run(steps, restarts, broken, len(sample), "the diagnostic's own attack")


def _from_battery(subject: Subject, *, restarts: int | None = None) -> list[_Run]:
    """Return the battery's runs of plain PGD on all right examples, the shortest first."""
    runs, right = [], subject.clean_correct.cpu()
    for outcome in subject.outcomes:
        made = outcome.attack
        is_plain = (
            made.get("name") == "pgd"
            and made.get("loss", "cross-entropy") == "cross-entropy"
            and made.get("target") is None
            and outcome.norm == subject.norm
            and math.isclose(outcome.eps, subject.eps)
            and outcome.has_result
            and not bool((right & ~outcome.attacked.cpu()).any())
        )
        if is_plain and restarts in (None, made["restarts"]):
            broken = outcome.broken.cpu() & right
            runs.append(
                _Run(made["steps"], made["restarts"], broken, int(right.sum()), outcome.name)
            )
    return sorted(runs, key=lambda run: (run.steps, run.restarts))


def _gained(weak: _Run, strong: _Run) -> float:
    return 100 * int((strong.broken & ~weak.broken).sum()) / weak.n


def _evidence(weak: _Run, strong: _Run) -> dict[str, object]:
    return {
        "examples": weak.n,
        "attacks": [
            {
                "source": run.source,
                "steps": run.steps,
                "restarts": run.restarts,
                "accuracy": 1 - int(run.broken.sum()) / run.n,
            }
            for run in (weak, strong)
        ],
    }

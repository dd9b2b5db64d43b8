"""An ensemble of attacks against the single attacks with gradients before it."""

import math

import torch

from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["ENSEMBLE_GAP", "ensemble_gap"]

ENSEMBLE_GAP = Question(
    name="ensemble-gap",
    text="Does an ensemble of attacks break much that no single attack with gradients does?",
    threshold=5.0,
    unit="points of accuracy",
)


def ensemble_gap(sample: Sample) -> Finding:
    """Count the examples that only an ensemble broke, by the battery's outcomes.

    AutoAttack holds attacks with gradients and one without (Square): from its outcome alone nobody
    can say which of them succeeded. A large gap is a reason to run them one by one.
    """
    subject = sample.subject
    of_radius = [
        outcome
        for outcome in subject.outcomes
        if outcome.norm == subject.norm and math.isclose(outcome.eps, subject.eps)
    ]
    ensembles = [outcome for outcome in of_radius if outcome.family == "ensemble"]
    single = [outcome for outcome in of_radius if outcome.family in ("one-step", "white-box")]
    if not ensembles or not single:
        return ENSEMBLE_GAP.untested("No ensemble was run beside single attacks with gradients.")
    by_ensemble, by_single = (
        torch.stack([outcome.broken.cpu() for outcome in group]).any(dim=0)
        for group in (ensembles, single)
    )
    attacked = int(torch.stack([outcome.attacked.cpu() for outcome in ensembles]).any(dim=0).sum())
    only = int((by_ensemble & ~by_single).sum())
    points = 100 * only / attacked if attacked else 0.0
    names = ", ".join(outcome.name for outcome in ensembles)
    return ENSEMBLE_GAP.answered(
        points,
        passed=f"Single attacks with gradients break nearly all that {names} breaks.",
        suspicious=(
            f"{names} breaks {only} of {attacked} examples that no single attack with gradients "
            "did. If its attack without gradients (Square) broke them, the gradients mislead: the "
            "standard budget runs its attacks one by one and tells."
        ),
        evidence={
            "ensembles": [outcome.name for outcome in ensembles],
            "single": [outcome.name for outcome in single],
            "examples": attacked,
            "broken_by_ensemble_alone": only,
        },
    )

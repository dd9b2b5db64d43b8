"""What all findings say together: how far an accuracy under attack can be believed."""

from collections.abc import Iterable, Sequence

import torch

from steadygrad.evaluation.masking.finding import Finding, Verdict
from steadygrad.evaluation.masking.subject import Subject

__all__ = ["verdict"]

SATURATED = "saturated softmax"
QUANTISED = "input quantisation"
RANDOM = "randomness"
FALSE = "false gradients"
VANISHING = "vanishing gradients"
MISLEADING = "misleading gradients"
UNFINISHED = "unfinished attacks"
CROOKED = "crooked loss surface"
WEAK = "weak attack settings"

# Findings that show how gradients are hidden.
_MECHANISMS = {
    "randomness": RANDOM,
    "expectation-over-randomness": RANDOM,
    "staircase": QUANTISED,
    "softmax-saturation": SATURATED,
    "logit-scale": SATURATED,
    "finite-differences": FALSE,
    "zero-gradients": VANISHING,
    "zero-gradient-pixels": VANISHING,
    "float64-gradients": VANISHING,
}
# Causes that follow from others: a rounded input has false gradients, or none at all.
_EXPLAINED_BY = {FALSE: {QUANTISED}, VANISHING: {QUANTISED, SATURATED}}
# Findings that show attacks with gradients failing where they should not, whatever the reason.
_SYMPTOMS = {
    "unbounded-eps": MISLEADING,
    "black-box-beats-white-box": MISLEADING,
    "one-step-beats-iterative": MISLEADING,
    "rising-accuracy": MISLEADING,
    "gradient-direction": MISLEADING,
}
# Reasons for doubt, and for no more.
_HINTS = {
    "ensemble-gap": UNFINISHED,
    "convergence": UNFINISHED,
    "local-linearity": CROOKED,
    "gradient-alignment": CROOKED,
}
# Findings about attacks, not about the model.
_WEAK_SETTINGS = {"more-steps": WEAK, "more-restarts": WEAK, "margin-loss": WEAK}
# Without these nobody can say that there is no sign of masking.
_ESSENTIAL = ("randomness", "zero-gradients", "finite-differences", "unbounded-eps")

SEVERE = 5.0
"""A single symptom is proof of masking when its number is beyond this many thresholds."""


def verdict(subject: Subject, findings: Sequence[Finding]) -> Verdict:
    """Combine the findings on a subject into one judgement, and name the causes.

    "masked": a mechanism that hides gradients was found, or two symptoms of it, or one whose
        number is beyond five thresholds. "doubtful": one symptom, or a hint, such as an attack
        that still gains when its steps are doubled. "incomplete": none of this, but an essential
        diagnostic could not be run. Attacks that are merely weak accuse nobody: the summary of
        "no sign of masking" then says which number to quote instead of theirs.
    """
    found = {finding.name: finding for finding in findings if finding.status == "suspicious"}
    mechanisms, symptoms, hints, weak = (
        {name: cause for name, cause in group.items() if name in found}
        for group in (_MECHANISMS, _SYMPTOMS, _HINTS, _WEAK_SETTINGS)
    )
    is_severe = any(
        (found[name].measured or 0) > SEVERE * found[name].threshold for name in symptoms
    )
    if mechanisms or is_severe or len(symptoms) > 1:
        causes = _without_consequences((mechanisms or symptoms).values())
        first = next(name for name in (*mechanisms, *symptoms))
        return Verdict(
            level="masked",
            summary=(
                f"Do not believe the accuracy under attack: gradients are masked "
                f"({', '.join(causes)}). {found[first].meaning}"
                f"{_worst_case(subject, 'At best an upper bound is')}"
            ),
            causes=causes,
            reasons=(*mechanisms, *symptoms),
        )
    doubts = symptoms | hints
    if doubts:
        return Verdict(
            level="doubtful",
            summary=(
                f"The accuracy under attack may be too high. {found[next(iter(doubts))].meaning}"
                f"{_worst_case(subject, 'Until that is settled, an upper bound is')}"
            ),
            causes=_without_consequences((doubts | weak).values()),
            reasons=(*doubts, *weak),
        )
    missing = tuple(
        name
        for name in _ESSENTIAL
        if not any(finding.name == name and finding.status == "passed" for finding in findings)
    )
    if missing:
        return Verdict(
            level="incomplete",
            summary=(
                "No sign of gradient masking, but not everything could be looked at: "
                f"{', '.join(missing)} did not run."
            ),
            causes=_without_consequences(weak.values()),
            reasons=missing,
        )
    told = f" {found[next(iter(weak))].meaning}" if weak else ""
    return Verdict(
        level="no sign of masking",
        summary=(
            f"No sign of gradient masking.{told}{_worst_case(subject, 'The number to quote is')}"
        ),
        causes=_without_consequences(weak.values()),
        reasons=tuple(weak),
    )


def _without_consequences(causes: Iterable[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(causes))
    return tuple(
        cause for cause in named if not _EXPLAINED_BY.get(cause, set()).intersection(named)
    )


def _worst_case(subject: Subject, opening: str) -> str:
    if not subject.outcomes:
        return ""
    broken = torch.stack([outcome.broken.cpu() for outcome in subject.outcomes]).any(dim=0)
    accuracy = (subject.clean_correct.cpu() & ~broken).double().mean().item()
    attacks = "one attack" if len(subject.outcomes) == 1 else f"all {len(subject.outcomes)} attacks"
    return (
        f" {opening} the worst case over {attacks}, example by example: {100 * accuracy:.1f} % of "
        f"{len(subject.labels)} images at eps {subject.eps:g}."
    )

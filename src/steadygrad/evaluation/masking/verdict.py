"""What all findings say together: how far an accuracy under attack can be believed."""

from collections.abc import Collection, Sequence

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
WEAK = "weak attack settings"
UNFINISHED = "unfinished attacks"

# Findings that show how gradients are hidden, first the ones that explain the ones after them.
_MECHANISMS = {
    "randomness": RANDOM,
    "expectation-over-randomness": RANDOM,
    "staircase": QUANTISED,
    "logit-scale": SATURATED,
    "finite-differences": FALSE,
    "zero-gradients": VANISHING,
    "zero-gradient-pixels": VANISHING,
    "float64-gradients": VANISHING,
}
# Causes that follow from others: a rounded input has false gradients, or none at all.
_EXPLAINED_BY = {FALSE: {QUANTISED}, VANISHING: {QUANTISED, SATURATED}}
# Findings that show attacks with gradients failing where they should not, whatever the reason.
_SYMPTOMS = (
    "one-step-beats-iterative",
    "black-box-beats-white-box",
    "unbounded-eps",
    "rising-accuracy",
    "gradient-direction",
)
# Findings that honest networks come near to: reason for doubt, alone for no more.
_HINTS = ("local-linearity", "gradient-alignment")
_WEAK_SETTINGS = ("more-steps", "more-restarts", "margin-loss")
_ESSENTIAL = ("randomness", "zero-gradients", "finite-differences", "unbounded-eps")

SEVERE = 5.0
"""A single symptom is proof of masking when its number is beyond this many thresholds."""


def verdict(subject: Subject, findings: Sequence[Finding]) -> Verdict:
    """Combine the findings on a subject into one judgement, and name the causes.

    "masked": a mechanism that hides gradients was found, or two symptoms of it, or one whose
        number is beyond five thresholds. "doubtful": one symptom, a hint, or attacks that still
        gain from more steps at the end. "incomplete": none of this, but an essential diagnostic
        could not be run. Attacks that are merely weak accuse nobody: the summary says which
        number to quote instead of theirs.
    """
    suspicious = {finding.name: finding for finding in findings if finding.status == "suspicious"}
    causes = _mechanisms(suspicious)
    symptoms = [suspicious[name] for name in _SYMPTOMS if name in suspicious]
    is_severe = any((symptom.measured or 0) > SEVERE * symptom.threshold for symptom in symptoms)
    if symptoms and not causes:
        causes = (MISLEADING,)
    is_masked = bool(_mechanisms(suspicious)) or is_severe or len(symptoms) > 1
    if "convergence" in suspicious:
        causes += (UNFINISHED,)
    if any(name in suspicious for name in _WEAK_SETTINGS):
        causes += (WEAK,)
    untested = [f.name for f in findings if f.name in _ESSENTIAL and f.status == "not tested"]
    hints = [name for name in (*_HINTS, "convergence") if name in suspicious]
    quote = _number_to_quote(subject)
    if is_masked:
        named = [cause for cause in causes if cause not in (WEAK, UNFINISHED)]
        return Verdict(
            level="masked",
            summary=(
                f"Do not believe the accuracy under attack: gradients are masked "
                f"({_listed(named)}). {_first_meaning(suspicious)}"
            ),
            causes=causes,
            reasons=tuple(suspicious),
        )
    if symptoms or hints:
        first = suspicious[(*(symptom.name for symptom in symptoms), *hints)[0]]
        return Verdict(
            level="doubtful",
            summary=f"The accuracy under attack may be too high. {first.meaning} {quote}",
            causes=causes,
            reasons=tuple(suspicious),
        )
    if untested or len(findings) == 0:
        return Verdict(
            level="incomplete",
            summary=(
                "No sign of gradient masking was found, but not everything could be looked at: "
                f"{_listed(untested) or 'no diagnostic'} did not run."
            ),
            causes=causes,
            reasons=tuple(untested),
        )
    weak = (
        "Short attacks are too weak for this model: quote the strongest. " if WEAK in causes else ""
    )
    return Verdict(
        level="no sign of masking",
        summary=f"No sign of gradient masking. {weak}{quote}",
        causes=causes,
        reasons=tuple(suspicious),
    )


def _mechanisms(suspicious: Collection[str]) -> tuple[str, ...]:
    causes = dict.fromkeys(_MECHANISMS[name] for name in _MECHANISMS if name in suspicious)
    return tuple(
        cause for cause in causes if not _EXPLAINED_BY.get(cause, set()).intersection(causes)
    )


def _first_meaning(suspicious: dict[str, Finding]) -> str:
    order = (*_MECHANISMS, *_SYMPTOMS)
    return next(suspicious[name].meaning for name in order if name in suspicious)


def _number_to_quote(subject: Subject) -> str:
    if not subject.outcomes:
        return ""
    broken = torch.stack([outcome.broken.cpu() for outcome in subject.outcomes]).any(dim=0)
    accuracy = (subject.clean_correct.cpu() & ~broken).double().mean().item()
    return (
        f"The number to quote is the worst case over all {len(subject.outcomes)} attacks, example "
        f"by example: {100 * accuracy:.1f} % of {len(subject.labels)} at eps {subject.eps:g}."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)

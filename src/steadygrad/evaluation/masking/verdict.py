"""Every diagnostic of gradient masking on one subject, and what all findings say together."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import torch

from steadygrad.evaluation.masking.diagnostic import (
    DIAGNOSTICS,
    Diagnostic,
    Finding,
    Role,
    Verdict,
    traits_of,
)
from steadygrad.evaluation.masking.sample import Sample, Subject
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derive_seed

__all__ = ["default_diagnostics", "diagnose", "verdict"]

NOTHING_RIGHT = "No example is correct without an attack and unproven, so none can be tested."

ONE_ANSWER = "The model gives every image the same answer, so there is no gradient to test."

_CONSTANT = Verdict(
    level="no sign of masking",
    summary=(
        "The model gives every image the same answer, noise too: no attack can change it and no "
        "gradient is hidden. Its accuracy is that of always predicting one class."
    ),
    causes=("constant model",),
    reasons=(),
)

SEVERE = 3.0
"""A single symptom is proof of masking when its number is beyond this many thresholds."""


def diagnose(
    subject: Subject, diagnostics: Sequence[Diagnostic] | None = None
) -> tuple[tuple[Finding, ...], Verdict]:
    """Run diagnostics on the subject; return their findings, in order, and the verdict.

    The model is in eval mode meanwhile, and afterwards as it was; so is torch's global generator,
    which is seeded meanwhile, so that a model that draws from it gives the same findings twice.

    Args:
        subject: the model and its examples.
        diagnostics: None runs every registered one with its default settings.

    Raises:
        ModelError: the outputs are no finite logits.
    """
    chosen = default_diagnostics() if diagnostics is None else tuple(diagnostics)
    with (
        evaluation_mode(subject.model),
        torch.random.fork_rng(devices=[subject.place] if subject.place.type == "cuda" else []),
    ):
        torch.manual_seed(derive_seed(subject.seed, "diagnosis"))
        sample, findings = Sample(subject), []
        if sample.is_constant:
            return tuple(each.untested(ONE_ANSWER) for each in chosen), _CONSTANT
        for done, diagnostic in enumerate(chosen):
            if subject.progress is not None:
                name = DIAGNOSTICS.name_of(diagnostic) or type(diagnostic).__name__
                subject.progress(name, done, len(chosen))
            if subject.is_over is not None and subject.is_over():
                findings.append(diagnostic.out_of_time())
                continue
            is_possible = len(sample) > 0
            findings.append(
                _finding(diagnostic, sample) if is_possible else diagnostic.untested(NOTHING_RIGHT)
            )
    if subject.progress is not None:
        subject.progress("done", len(chosen), len(chosen))
    return tuple(findings), verdict(subject, findings)


def default_diagnostics() -> tuple[Diagnostic, ...]:
    """Return every registered diagnostic with its default settings, in the order of running."""
    return tuple(found() for found in DIAGNOSTICS)


def verdict(subject: Subject, findings: Sequence[Finding]) -> Verdict:
    """Combine the findings on a subject into one judgement, and name the causes.

    "masked": a mechanism that hides gradients was found, or two symptoms of it, or one whose
        number is beyond three thresholds. "doubtful": one symptom, or a hint, such as an attack
        that still gains when its steps are doubled. "incomplete": none of this, but an essential
        diagnostic could not be run. Attacks that are merely weak accuse nobody: the summary of
        "no sign of masking" then says which number to quote instead of theirs.

    Raises:
        UnknownNameError: a suspicious finding is of a diagnostic that is not registered, so that
            nobody can say what it shows.
    """
    found = {finding.name: finding for finding in findings if finding.status == "suspicious"}
    mechanisms, symptoms, hints, weak = (
        [name for name in found if traits_of(name).role == role] for role in _ROLES
    )
    is_severe = any(
        (found[name].measured or 0) > SEVERE * found[name].threshold for name in symptoms
    )
    if mechanisms or is_severe or len(symptoms) > 1:
        causes = _causes(mechanisms or symptoms)
        accusing = (*mechanisms, *symptoms)
        return Verdict(
            level="masked",
            summary=(
                f"Do not trust the accuracy under attack: gradients are masked "
                f"({', '.join(causes)}). {found[accusing[0]].meaning}"
                f"{_worst_case(subject, 'At best an upper bound is')}"
            ),
            causes=causes,
            reasons=accusing,
        )
    doubts = (*symptoms, *hints)
    if doubts:
        return Verdict(
            level="doubtful",
            summary=(
                f"The accuracy under attack may be too high. {found[doubts[0]].meaning}"
                f"{_worst_case(subject, 'Until that is settled, an upper bound is')}"
            ),
            causes=_causes((*doubts, *weak)),
            reasons=(*doubts, *weak),
        )
    missing = _missing(findings)
    if missing:
        return Verdict(
            level="incomplete",
            summary=(
                "No sign of gradient masking, but not everything could be looked at: "
                f"{', '.join(missing)} did not run."
            ),
            causes=_causes(weak),
            reasons=missing,
        )
    told = f" {found[weak[0]].meaning}" if weak else ""
    return Verdict(
        level="no sign of masking",
        summary=(
            f"No sign of gradient masking.{told}{_worst_case(subject, 'The number to quote is')}"
        ),
        causes=_causes(weak),
        reasons=tuple(weak),
    )


_ROLES: tuple[Role, ...] = ("mechanism", "symptom", "hint", "weak-settings")


def _finding(diagnostic: Diagnostic, sample: Sample) -> Finding:
    """Return the finding; of another package's diagnostic that fails, one that says so."""
    if type(diagnostic).__module__.startswith("steadygrad."):
        return diagnostic(sample)
    try:
        finding = diagnostic(sample)
        json.dumps(asdict(finding))  # as it is stored
        return finding
    except Exception as error:  # a stranger's diagnostic must not end the audit
        said = " ".join(str(error).split())
        return diagnostic.untested(f"It raised {type(error).__name__}: {said}")


def _missing(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the essential diagnostics that did not pass."""
    passed = {finding.name for finding in findings if finding.status == "passed"}
    names = (str(DIAGNOSTICS.name_of(found)) for found in DIAGNOSTICS)
    return tuple(name for name in names if traits_of(name).essential and name not in passed)


def _causes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the causes that findings point at, each once, without what follows from another."""
    traits = [traits_of(name) for name in names]
    named = dict.fromkeys(each.cause for each in traits)
    explained = {each.cause for each in traits if named.keys() & set(each.explained_by)}
    return tuple(cause for cause in named if cause not in explained)


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

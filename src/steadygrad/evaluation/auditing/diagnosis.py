"""The diagnosis of an audit: findings and verdict, kept, and silent where nothing was tested."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import steadygrad
from steadygrad.evaluation.auditing.adapted import AdaptedRound
from steadygrad.evaluation.masking import DIAGNOSTICS, Finding, Subject, Verdict, diagnose
from steadygrad.evaluation.masking.verdict import default_diagnostics, verdict
from steadygrad.evaluation.outcome import Family
from steadygrad.store import Key, Store

__all__ = ["Diagnosis", "diagnosis_of", "restated"]


@dataclass(frozen=True)
class Diagnosis:
    """Findings and verdict, how long they took and when they were done."""

    findings: tuple[Finding, ...]
    verdict: Verdict
    seconds: float
    created: str


def diagnosis_of(
    subject: Subject, store: Store, identity: Mapping[str, Any], *, wanted: bool
) -> Diagnosis:
    """Return the diagnosis of a subject, from the store if it is kept there.

    Without an attack that met an example there is nothing that a verdict could be about, unless
    the diagnostics alone show how gradients are hidden.

    identity: what a stored result must share besides settings, as JSON can hold it.
    wanted: whether to look for gradient masking at all.
    """
    found = _diagnosed(subject, store, identity, wanted=wanted)
    return replace(found, verdict=_judged(subject, found.verdict))


def restated(subject: Subject, found: Diagnosis, adapted: AdaptedRound) -> Diagnosis:
    """Return a diagnosis whose verdict is about all examples and knows of the adapted attacks.

    subject: with all right examples, proven ones too, which no diagnostic looked at, and with the
        outcomes of the adapted attacks; the findings stay what they were.
    """
    if all(finding.status == "not tested" for finding in found.findings):
        return found
    said = _judged(subject, verdict(subject, found.findings))
    if not adapted.attacks:
        return replace(found, verdict=said)
    before, after = (100 * count / adapted.n for count in (adapted.before, adapted.after))
    names = ", ".join(each.name for each in adapted.attacks)
    told = (
        f" Attacks adapted to that ({names}) took it from {before:.1f} % to {after:.1f} %."
        if adapted.after < adapted.before
        else f" Attacks adapted to that ({names}) broke no more."
    )
    if said.level == "masked" and not adapted.overcame(said.reasons):
        told += f" {_shortcoming(adapted)}, so the accuracy that remains is not established."
    return replace(found, verdict=replace(said, summary=said.summary + told))


def _shortcoming(adapted: AdaptedRound) -> str:
    """Return why adapted attacks did not overcome the reasons of a verdict, begun as a sentence."""
    if adapted.has_settled or not any(each.is_fit for each in adapted.attacks):
        return "They are not fit for this model"
    if adapted.gained is None:
        return "No second, longer run confirmed that"
    return f"A second, longer run broke {adapted.gained} more images"


def _judged(subject: Subject, found: Verdict) -> Verdict:
    """Return the verdict, unless nothing, or next to nothing, was tried on the model."""
    met = [outcome for outcome in subject.outcomes if outcome.has_result]
    if found.level == "masked" or not bool(subject.clean_correct.any()):
        return found
    if not met:
        failed = "stayed within the ball" if subject.outcomes else "could be run"
        return Verdict(
            level="nothing tested",
            summary=(
                f"No attack {failed}, so the accuracy under attack is unknown. The list of what "
                "was not tested gives the reasons."
            ),
            causes=(),
            reasons=(),
        )
    if found.level == "no sign of masking" and all(each.family in _BLIND for each in met):
        return replace(
            found,
            level="incomplete",
            summary=(
                "No sign of gradient masking, but no attack used this model: "
                f"{', '.join(each.name for each in met)} would be the same for any other."
            ),
        )
    return found


_BLIND: tuple[Family, ...] = ("noise", "transfer")
"""Attacks that need no pass through the model: their failure says little about it."""


def _diagnosed(
    subject: Subject, store: Store, identity: Mapping[str, Any], *, wanted: bool
) -> Diagnosis:
    if not wanted:
        unknown = Verdict(
            level="incomplete",
            summary="Gradient masking was not looked for: the diagnostics were not run.",
            causes=(),
            reasons=(),
        )
        return Diagnosis((), unknown, 0.0, "")
    diagnostics = default_diagnostics()
    key = dict(identity) | {
        "asked": "diagnosis",
        "diagnostics": [DIAGNOSTICS.table(each) for each in diagnostics],
        "outcomes": [
            [
                outcome.name,
                outcome.family,
                outcome.attack,
                outcome.attacked.tolist(),
                outcome.broken.tolist(),
            ]
            for outcome in subject.outcomes
        ],
        "eps": subject.eps,
        "norm": subject.norm,
        "seed": subject.seed,
        "batch_size": subject.batch_size,
        "steadygrad": steadygrad.__version__,
    }
    found = _kept(store, key)
    if found is not None:
        return found
    began = time.perf_counter()
    findings, judged = diagnose(subject, diagnostics)
    seconds = time.perf_counter() - began
    created = datetime.now(UTC).isoformat(timespec="seconds")
    if any(finding.is_late for finding in findings):
        return Diagnosis(findings, judged, seconds, created)
    store.put(
        key,
        {
            "findings": [asdict(finding) for finding in findings],
            "verdict": asdict(judged),
            "seconds": seconds,
            "created": created,
        },
        label="diagnostics",
    )
    return Diagnosis(findings, judged, seconds, created)


def _kept(store: Store, key: Key) -> Diagnosis | None:
    answer = store.get(key)
    if answer is None:
        return None
    try:
        values = answer.values
        findings = tuple(Finding(**finding) for finding in values["findings"])
        judged = Verdict.of(values["verdict"])
        seconds, created = float(values["seconds"]), str(values["created"])
    except (KeyError, TypeError, ValueError) as error:
        path = store.path(key)
        if path is not None:
            store.reject(path, f"{type(error).__name__}: {error}")
        return None
    return Diagnosis(findings, judged, seconds, created)

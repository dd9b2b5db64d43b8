"""Minutes that an audit may take, shared out between attacks, proofs and diagnostics."""

from collections.abc import Sequence
from dataclasses import replace

from steadygrad.evaluation.auditing.diagnosis import Diagnosis
from steadygrad.evaluation.auditing.entry import BatteryEntry

__all__ = ["by_promise", "cut_short"]

BATTERY, PROOF, DIAGNOSTICS = 0.6, 0.7, 0.85
"""Shares of the time after which no attack of the battery, no proof, and no diagnostic begins."""
LARGEST_BATCH = 32
"""Images attacked together under a time limit, where the batch size is ours to choose: a batch that
has begun is finished."""


def by_promise(entries: Sequence[BatteryEntry]) -> list[BatteryEntry]:
    """Return the entries by their turn: those first that break most for their time.

    Attacks of the user's own come after the first two of ours, AutoAttack whole and transfers
    after all the others.
    """
    return sorted(entries, key=lambda entry: entry.turn)


def cut_short(found: Diagnosis, late: Sequence[str], minutes: float | None) -> Diagnosis:
    """Return a diagnosis whose verdict says that time ran out, if anything was left out for that.

    late: names of the attacks that were left out or cut short.
    """
    skipped = [finding.name for finding in found.findings if finding.is_late]
    if minutes is None or not (late or skipped):
        return found
    parts = [
        f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({', '.join(names)})"
        for names, kind in ((late, "attack"), (skipped, "diagnostic"))
        if names
    ]
    told = f"Incomplete: {minutes:g} minutes left no time for {' and '.join(parts)}."
    verdict = found.verdict
    level = "incomplete" if verdict.level == "no sign of masking" else verdict.level
    return replace(
        found, verdict=replace(verdict, level=level, summary=f"{told} {verdict.summary}")
    )

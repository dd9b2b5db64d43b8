"""The answer of an audit in a few sentences: how much is left, and whether to believe it."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from steadygrad.evaluation import AccuracyPoint
from steadygrad.reports.audit.attack_rows import AttackRow
from steadygrad.reports.wording import count_text, interval_text, percent

__all__ = ["BELIEF", "Belief", "accuracy_sentences"]

Belief: TypeAlias = Literal["yes", "caution", "no"]

BELIEF: dict[str, tuple[Belief, str]] = {
    "no sign of masking": ("yes", "Yes, as an upper bound"),
    "doubtful": ("caution", "Only with caution"),
    "masked": ("no", "No"),
    "incomplete": ("caution", "Not yet"),
}
"""Per level of a verdict: how it is coloured, and its answer to "can I believe this number?"."""


def accuracy_sentences(
    clean: AccuracyPoint,
    worst_case: AccuracyPoint,
    rows: Sequence[AttackRow],
    chance: float | None,
) -> list[str]:
    """Say what was right before any attack, which attack broke most, and what the others added.

    chance: accuracy of guessing, None if unknown.
    """
    right = f"{percent(clean.accuracy)} (95\u00a0% interval {interval_text(clean)})"
    sentences = [f"Without attack, {right} are right."]
    if chance is not None and clean.ci95[0] <= chance:
        sentences.append(
            f"That is no better than guessing ({percent(chance)}): there is no accuracy to defend."
        )
    full = [row for row in rows if row.point is not None]
    if len(rows) < 2 or not full:
        return sentences
    strongest = max(full, key=lambda row: row.broken)
    left = clean.correct - strongest.broken
    others = count_text(left - worst_case.correct, "more image")
    sentences.append(
        f"The strongest single attack, {strongest.title}, leaves {percent(left / clean.n)}; the "
        f"others broke {others}."
        if left > worst_case.correct
        else f"The strongest attack, {strongest.title}, broke everything that any attack broke."
    )
    return sentences

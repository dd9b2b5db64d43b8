"""The attacks of an audit in rows: what each of them broke, in words and counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from steadygrad.evaluation import AccuracyPoint
from steadygrad.evaluation.auditing import AttackOutcome, Family
from steadygrad.reports.wording import attack_name, attack_settings

__all__ = ["FAMILIES", "AttackRow", "attack_rows"]

FAMILIES: dict[Family, tuple[str, str]] = {
    "noise": ("noise", "knows nothing of the model"),
    "one-step": ("one gradient step", "knows the weights"),
    "white-box": ("many gradient steps", "knows the weights"),
    "query": ("queries", "sees the outputs alone"),
    "transfer": ("transfer", "knows another model"),
    "ensemble": ("several attacks", "knows the weights"),
}
"""Per family: how its attacks look for a change, and what they know of the model."""


@dataclass(frozen=True, kw_only=True)
class AttackRow:
    """One attack of an audit.

    name: as in the audit; title, settings, method, knowledge: for reading.
    attacked, broken: how many of the ``n`` examples it was run on, and how many of these it broke.
    point: accuracy under this attack alone; None if it was not run on every right example.
    standing: how many of the ``n`` examples the attacks before it had left right, for an attack
        that met these alone; None for one that was run on others too.
    outside: results beyond the radius or the pixel range, which do not count as broken.
    queries: images sent through the model; gradients: images differentiated.
    """

    name: str
    title: str
    settings: str
    method: str
    knowledge: str
    n: int
    attacked: int
    broken: int
    point: AccuracyPoint | None
    standing: int | None
    outside: int
    seconds: float
    queries: int
    gradients: int

    @property
    def outcome_text(self) -> str:
        """What it broke of what it was run on: "broke 3 of 41 still standing"."""
        kind = "still standing" if self.attacked == self.standing else "tried"
        return f"broke {self.broken:,} of {self.attacked:,} {kind}"


def attack_rows(outcomes: Sequence[AttackOutcome], clean_correct: Tensor) -> list[AttackRow]:
    """Return the attacks, the one that leaves most accuracy first, those without one last.

    outcomes: in the order of the battery, which attacks without an accuracy of their own keep.
    clean_correct: bool (n,), which examples are right without attack.
    """
    titles, rows, standing = _titles(outcomes), [], clean_correct
    for outcome in outcomes:
        rows.append(_row(outcome, clean_correct, standing, titles[outcome.name]))
        standing = standing & ~outcome.broken
    full = [row for row in rows if row.point is not None]
    full.sort(key=lambda row: row.broken)
    return [*full, *(row for row in rows if row.point is None)]


def _row(outcome: AttackOutcome, clean_correct: Tensor, standing: Tensor, title: str) -> AttackRow:
    method, knowledge = FAMILIES[outcome.family]
    return AttackRow(
        name=outcome.name,
        title=title,
        settings=attack_settings(outcome.attack) if len(outcome.attack) > 1 else "",
        method=method,
        knowledge=knowledge,
        n=len(clean_correct),
        attacked=int(outcome.attacked.sum()),
        broken=int(outcome.broken.sum()),
        point=outcome.accuracy(clean_correct),
        standing=int(standing.sum()) if outcome.scope == "survivors" else None,
        outside=outcome.outside,
        seconds=outcome.seconds,
        queries=outcome.queries,
        gradients=outcome.gradients,
    )


def _titles(outcomes: Sequence[AttackOutcome]) -> dict[str, str]:
    """Return a title per name; where two attacks share theirs, the names tell them apart."""
    short = {outcome.name: attack_name(outcome.attack) for outcome in outcomes}
    shared = Counter(short.values())
    return {
        name: title if shared[title] == 1 else f"{title} ({name})" for name, title in short.items()
    }

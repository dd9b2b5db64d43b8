"""Which examples weaker attacks break that stronger ones do not: the battery's, and our own."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steadygrad.attacks import Attack, describe_attack
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.masking.subject import Subject

__all__ = ["Contest", "contest"]


@dataclass(frozen=True, eq=False)
class Contest:
    """``weaker`` attacks against ``stronger`` ones on the same ``n`` examples.

    unexplained: how many only the weaker broke, and long attacks on these afterwards did not.
    evidence: the attacks, and how many examples each side broke, as JSON can hold them.
    """

    n: int
    unexplained: int
    evidence: dict[str, Any]

    @property
    def points(self) -> float:
        """The unexplained examples in points of accuracy."""
        return 100 * self.unexplained / self.n


def contest(
    sample: Sample,
    weaker: Collection[str],
    stronger: Collection[str],
    own_weaker: tuple[Attack, ...],
) -> Contest:
    """Compare two families of attacks, by the battery's outcomes if it ran both.

    Otherwise the ``own_weaker`` attacks meet PGD on the sample. Either way, what only the weaker
    side broke is attacked once more, by PGD of many steps with restarts, on at most as many
    examples as a sample has: what that breaks tells of short attacks, not of masking.
    """
    left, right = _joined(sample.subject, weaker), _joined(sample.subject, stronger)
    if left is not None and right is not None:
        attacked = left.attacked & right.attacked
        is_odd = attacked & left.broken & ~right.broken
        sides: dict[str, Any] = {"weaker": left.names, "stronger": right.names}
        evidence = {**sides, "from": "the battery"}
        rows = is_odd.nonzero().squeeze(1)
        n, broken = int(right.attacked.sum()), (left.broken & attacked, right.broken & attacked)
    else:
        against = sample.pgd(50)
        fooled = sample.broken_by(against)
        weak = torch.stack([sample.broken_by(attack) for attack in own_weaker]).any(dim=0)
        sides = {
            "weaker": [describe_attack(attack) for attack in own_weaker],
            "stronger": [describe_attack(against)],
        }
        evidence = {**sides, "from": "attacks of the diagnostic's own"}
        rows = sample.rows[weak & ~fooled]
        n, broken = len(sample), (weak, fooled)
    unexplained, checked = _standing(sample, rows)
    evidence |= {
        "examples": n,
        "broken_by_weaker": int(broken[0].sum()),
        "broken_by_stronger": int(broken[1].sum()),
        "broken_by_weaker_alone": len(rows),
        "attacked_again": checked,
        "still_standing": unexplained,
    }
    # Of more odd examples than were attacked again, the same part is taken to stand.
    scale = len(rows) / checked if checked else 0
    return Contest(n=n, unexplained=round(scale * unexplained), evidence=evidence)


@dataclass(frozen=True, eq=False)
class _Joined:
    """Several outcomes as one attack: an example counts as attacked if one attack was run on it."""

    names: list[str]
    attacked: Tensor
    broken: Tensor


def _joined(subject: Subject, families: Collection[str]) -> _Joined | None:
    chosen = [
        outcome
        for outcome in subject.outcomes
        if outcome.family in families
        and outcome.norm == subject.norm
        and math.isclose(outcome.eps, subject.eps)
        and outcome.attacked.any()
    ]
    if not chosen:
        return None
    return _Joined(
        names=[outcome.name for outcome in chosen],
        attacked=torch.stack([outcome.attacked.cpu() for outcome in chosen]).any(dim=0),
        broken=torch.stack([outcome.broken.cpu() for outcome in chosen]).any(dim=0),
    )


def _standing(sample: Sample, rows: Tensor) -> tuple[int, int]:
    rows = rows[: sample.subject.examples]
    if len(rows) == 0:
        return 0, 0
    odd = Sample(sample.subject, rows)
    is_broken = torch.stack([odd.broken_by(attack) for attack in odd.long_attacks()]).any(dim=0)
    return int((~is_broken).sum()), len(rows)

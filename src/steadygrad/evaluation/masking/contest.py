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

OWN_STEPS, OWN_EXAMPLES = 50, 16


@dataclass(frozen=True, eq=False)
class Contest:
    """``weaker`` attacks against ``stronger`` ones on the same ``n`` examples.

    left: examples that the stronger left standing; met: those of them that the weaker met.
    unexplained: examples that only the weaker broke, and that long attacks afterwards did not.
    points: those in points of accuracy.
    evidence: the attacks, and how many examples each side broke, as JSON can hold them.
    """

    n: int
    left: int
    met: int
    unexplained: int
    points: float
    evidence: dict[str, Any]


def contest(
    sample: Sample,
    weaker: Collection[str],
    stronger: Collection[str],
    own_weaker: tuple[Attack, ...],
) -> Contest:
    """Compare two families of attacks, by the battery's outcomes if it ran both.

    Otherwise PGD meets the sample, and the ``own_weaker`` attacks a few of the examples that it
    leaves standing. Either way, what only the weaker side broke is attacked once more, by PGD of
    many steps with restarts, on at most as many examples as a sample has: what that breaks tells
    of short attacks, not of masking. Where not all were looked at, the rest is taken to be like
    them.
    """
    left, right = _joined(sample.subject, weaker), _joined(sample.subject, stronger)
    if left is not None and right is not None:
        match = _of_battery(left, right)
    else:
        match = _of_own(sample, own_weaker)
    again = match.broken[: sample.subject.examples]
    unexplained = _still_standing(sample, again)
    estimate = float(unexplained)
    for part, whole in ((len(again), len(match.broken)), (match.met, match.left)):
        estimate *= whole / part if part else 0.0
    return Contest(
        n=match.n,
        left=match.left,
        met=match.met,
        unexplained=unexplained,
        points=100 * estimate / match.n,
        evidence={
            "weaker": match.weaker,
            "stronger": match.stronger,
            "examples": match.n,
            "left_by_stronger": match.left,
            "of_those_met_by_weaker": match.met,
            "broken_by_weaker": len(match.broken),
            "attacked_again_at_length": len(again),
            "still_standing": unexplained,
        },
    )


@dataclass(frozen=True, eq=False)
class _Match:
    """The first round; ``broken`` holds the rows that only the weaker side broke."""

    weaker: list[str]
    stronger: list[str]
    n: int
    left: int
    met: int
    broken: Tensor


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


def _of_battery(weaker: _Joined, stronger: _Joined) -> _Match:
    standing = stronger.attacked & ~stronger.broken
    met = standing & weaker.attacked
    return _Match(
        weaker=weaker.names,
        stronger=stronger.names,
        n=int(stronger.attacked.sum()),
        left=int(standing.sum()),
        met=int(met.sum()),
        broken=(met & weaker.broken).nonzero().squeeze(1),
    )


def _of_own(sample: Sample, weaker: tuple[Attack, ...]) -> _Match:
    stronger = sample.pgd(OWN_STEPS)
    left = sample.rows[~sample.broken_by(stronger)]
    met = Sample(sample.subject, left[:OWN_EXAMPLES] if weaker else left[:0])
    is_broken = torch.zeros(len(met), dtype=torch.bool)
    for attack in weaker if len(met) else ():
        is_broken |= met.broken_by(attack)
    return _Match(
        weaker=[_words(attack) for attack in weaker],
        stronger=[_words(stronger)],
        n=len(sample),
        left=len(left),
        met=len(met),
        broken=met.rows[is_broken],
    )


def _still_standing(sample: Sample, rows: Tensor) -> int:
    if len(rows) == 0:
        return 0
    odd = Sample(sample.subject, rows)
    is_broken = torch.stack([odd.broken_by(attack) for attack in odd.long_attacks()]).any(dim=0)
    return int((~is_broken).sum())


def _words(attack: Attack) -> str:
    described = describe_attack(attack)
    name = described.pop("name")
    return f"{name}({', '.join(f'{key}={value}' for key, value in described.items())})"

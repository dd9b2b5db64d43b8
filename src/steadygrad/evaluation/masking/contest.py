"""Which examples weaker attacks break that stronger ones do not: the battery's, and our own."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steadygrad.attacks import Attack, describe_attack
from steadygrad.evaluation.intervals import wilson_interval
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.masking.subject import Subject

if TYPE_CHECKING:  # the audit itself imports this package
    from steadygrad.evaluation.audit.outcome import AttackOutcome

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
    of short attacks, not of masking. Examples that a weaker attack did not meet count with the
    least share of them that it can be expected to break.
    """
    left, right = _joined(sample.subject, weaker), _joined(sample.subject, stronger)
    if left is not None and right is not None:
        match = _of_battery(left, right)
    else:
        match = _of_own(sample, own_weaker)
    again = match.broken[: sample.subject.examples]
    unexplained = _still_standing(sample, again)
    counted = max(float(len(match.broken)), match.least_share * match.left)
    estimate = counted * unexplained / len(again) if len(again) else 0.0
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
    """The first round; ``broken`` holds the rows that only the weaker side broke.

    least_share: of the examples that one weaker attack met, it broke at least this share (lower end
        of Wilson's 95 % interval; the largest of the weaker attacks): what holds for those that it
        did not meet too.
    """

    weaker: list[str]
    stronger: list[str]
    n: int
    left: int
    met: int
    broken: Tensor
    least_share: float


@dataclass(frozen=True, eq=False)
class _Joined:
    """Several outcomes as one attack: an example counts as attacked if one attack was run on it."""

    names: list[str]
    attacked: Tensor
    broken: Tensor
    each: tuple["AttackOutcome", ...]


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
        each=tuple(chosen),
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
        least_share=max(
            _least_share(
                int((standing & outcome.broken.cpu()).sum()),
                int((standing & outcome.attacked.cpu()).sum()),
            )
            for outcome in weaker.each
        ),
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
        least_share=_least_share(int(is_broken.sum()), len(met)),
    )


def _least_share(broken: int, met: int) -> float:
    return wilson_interval(broken, met)[0] if met else 0.0


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

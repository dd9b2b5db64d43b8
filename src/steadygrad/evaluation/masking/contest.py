"""Weaker attacks against stronger ones: nobody should break what those who know more cannot."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steadygrad.attacks import FGSM, NES, Attack, RandomNoise, describe_attack
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import Sample, Subject
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.evaluation.statistics import wilson_interval

__all__ = [
    "BlackBoxBeatsWhiteBox",
    "Contest",
    "EnsembleGap",
    "OneStepBeatsIterative",
    "contest",
]

OWN_STEPS, OWN_EXAMPLES = 50, 16


@dataclass(frozen=True, eq=False)
class Contest:
    """``weaker`` attacks against ``stronger`` ones on the same ``n`` examples.

    left: examples that the stronger left standing; met: those of them that the weaker met.
    unexplained: examples that only the weaker broke, and that long attacks afterwards did not.
    points: those in points of accuracy, at least: the lower end of Wilson's 95 % interval.
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
    # The lower end of two estimates: from what was met, and for those too that were not.
    shares = (
        wilson_interval(len(match.broken), match.n)[0],
        match.least_share * match.left / match.n,
    )
    share = max(shares) * unexplained / len(again) if len(again) else 0.0
    return Contest(
        n=match.n,
        left=match.left,
        met=match.met,
        unexplained=unexplained,
        points=100 * share,
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
    each: tuple[AttackOutcome, ...]


def _joined(subject: Subject, families: Collection[str]) -> _Joined | None:
    chosen = [
        outcome
        for outcome in subject.outcomes
        if outcome.family in families
        and outcome.norm == subject.norm
        and math.isclose(outcome.eps, subject.eps)
        and outcome.has_result
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
    is_broken = torch.zeros(len(met), dtype=torch.bool, device="cpu")
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


@diagnostic(
    "one-step-beats-iterative",
    question="Does a single step break examples that many steps cannot?",
    unit="points of accuracy",
    role="symptom",
    cause="misleading gradients",
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class OneStepBeatsIterative(Diagnostic):
    """Count the examples that FGSM breaks and no iterative attack does, long ones included.

    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3.1; Carlini et al.,
        arXiv:1902.06705, evaluation checklist.
    """

    threshold: float = 3.0

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        subject = sample.subject
        own = (FGSM(eps=subject.eps, norm=subject.norm),)
        result = contest(sample, {"one-step"}, {"white-box", "ensemble"}, own)
        return self.answered(
            result.points,
            passed="Iterative attacks break what one step breaks, as they should.",
            suspicious=(
                f"One step breaks {result.unexplained} of {result.n} examples that iterative "
                "attacks, with many steps and restarts, cannot: gradients near the images lead "
                "attacks astray."
            ),
            evidence=result.evidence,
        )


@diagnostic(
    "black-box-beats-white-box",
    question="Do attacks without gradients break examples that all attacks with gradients cannot?",
    unit="points of accuracy",
    role="symptom",
    cause="misleading gradients",
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class BlackBoxBeatsWhiteBox(Diagnostic):
    """Count the examples that noise, queries or transfer break and no attack with gradients does.

    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3.1; Carlini et al.,
        arXiv:1902.06705, evaluation checklist. AutoAttack warns from 0.2 points on (Croce & Hein,
        ICML 2020; checks.py, ``check_square_sr``), counted before long attacks had a second try.
    """

    threshold: float = 3.0
    draws: int = 100
    queries: int = 1000

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        subject = sample.subject
        own: tuple[Attack, ...] = ()
        if subject.norm == "linf":
            own = (
                RandomNoise(eps=subject.eps, distribution="sign", samples=self.draws),
                NES(eps=subject.eps, queries=self.queries, loss="margin", stop_early=True),
            )
        # An ensemble may hold attacks of both kinds: see ``EnsembleGap``.
        result = contest(sample, {"noise", "query", "transfer"}, {"one-step", "white-box"}, own)
        if result.left > 0 and result.met == 0:
            return self.untested(
                "No attack without gradients was run on the survivors of those with gradients."
            )
        return self.answered(
            result.points,
            passed="Attacks with gradients break what attacks without them break, as they should.",
            suspicious=(
                f"Attacks that never see a gradient break {result.unexplained} examples that long "
                f"attacks with gradients cannot, at least {result.points:.0f} points of accuracy "
                "in all: the gradients mislead."
            ),
            evidence=result.evidence,
        )


@diagnostic(
    "ensemble-gap",
    question="Does an ensemble of attacks break much that no single attack with gradients does?",
    unit="points of accuracy",
    role="hint",
    cause="unfinished attacks",
)
@dataclass(frozen=True, kw_only=True)
class EnsembleGap(Diagnostic):
    """Count the examples that only an ensemble broke, of those that single attacks met too.

    AutoAttack holds attacks with gradients and one without (Square): from its outcome alone nobody
    can say which of them succeeded. A large gap is a reason to run them one by one.
    """

    threshold: float = 5.0

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        ensemble = _joined(sample.subject, {"ensemble"})
        single = _joined(sample.subject, {"one-step", "white-box"})
        if ensemble is None or single is None:
            return self.untested("No ensemble was run beside single attacks with gradients.")
        met = ensemble.attacked & single.attacked
        attacked = int(met.sum())
        if attacked == 0:
            return self.untested("No example met both an ensemble and a single attack.")
        only = int((met & ensemble.broken & ~single.broken).sum())
        names = ", ".join(ensemble.names)
        return self.answered(
            100 * only / attacked,
            passed=f"Single attacks with gradients break nearly all that {names} breaks.",
            suspicious=(
                f"{names} breaks {only} of {attacked} examples that no single attack with "
                "gradients did. If its attack without gradients (Square) broke them, the gradients "
                "mislead: the standard budget runs its attacks one by one and shows which it was."
            ),
            evidence={
                "ensembles": ensemble.names,
                "single": single.names,
                "examples": attacked,
                "broken_by_ensemble_alone": only,
            },
        )

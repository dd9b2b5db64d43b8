"""What one attack did to each example."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor

from steadygrad.evaluation.curve import AccuracyPoint

__all__ = [
    "AttackOutcome",
    "Family",
    "Scope",
]

Family: TypeAlias = Literal["noise", "one-step", "white-box", "query", "transfer", "ensemble"]
"""How an attack learns about the model: "query" sees outputs alone, "transfer" another model."""

Scope: TypeAlias = Literal["all", "survivors"]
"""Whom an attack is run on: every example that is right without it, or those that every earlier
attack of the battery has failed on."""


@dataclass(frozen=True, eq=False)
class AttackOutcome:
    """One attack at one radius, example by example; worst cases and paired tests are exact.

    name: unique in an audit, such as "pgd-50".
    attack: name and settings without eps, as JSON can hold them.
    eps: radius in pixel units; norm: in which it is measured.
    attacked: bool (n,), the examples it was run on, all of which were classified rightly before.
    broken: bool (n,), those of them that are misclassified now.
    queries: images sent through the model by the attack; gradients: images differentiated. The
        one look at each result that decides what is broken is not among them.
    outside: results that left the ball or the pixel range, none of which counts as broken.
    batch_size: examples attacked together; 0 where that is unknown.
    """

    name: str
    family: Family
    attack: dict[str, Any]
    eps: float
    norm: Literal["linf", "l2"]
    attacked: Tensor = field(repr=False)
    broken: Tensor = field(repr=False)
    seconds: float
    queries: int
    gradients: int
    seed: int
    scope: Scope = "all"
    outside: int = 0
    batch_size: int = 0

    @property
    def has_result(self) -> bool:
        """Whether any of its results counts: it met examples, and left the ball on some at most."""
        return int(self.attacked.sum()) > self.outside

    def accuracy(self, clean_correct: Tensor) -> AccuracyPoint | None:
        """Return the accuracy under this attack alone, over all examples.

        clean_correct: bool (n,), which are correct without attack. None, if the attack was not run
        on all of those: what it did to a selection says nothing about the rest.
        """
        if bool((clean_correct & ~self.attacked).any()):
            return None
        correct = int((clean_correct & ~self.broken).sum())
        return AccuracyPoint(eps=self.eps, correct=correct, n=len(clean_correct))

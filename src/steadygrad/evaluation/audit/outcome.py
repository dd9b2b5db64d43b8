"""What one attack of an audit did to each example."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor

__all__ = ["AttackOutcome", "Family"]

Family: TypeAlias = Literal["noise", "one-step", "white-box", "query", "transfer", "ensemble"]
"""How an attack learns about the model: "query" sees outputs alone, "transfer" another model."""


@dataclass(frozen=True, eq=False)
class AttackOutcome:
    """One attack at one radius, example by example; worst cases and paired tests are exact.

    name: unique in an audit, such as "pgd-50".
    attack: name and settings without eps, as JSON can hold them.
    eps: radius in pixel units; norm: in which it is measured.
    attacked: bool (n,), the examples it was run on, all of which were classified rightly before.
    broken: bool (n,), those of them that are misclassified now.
    queries: images sent through the model; gradients: those of them differentiated.
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

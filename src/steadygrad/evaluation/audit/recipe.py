"""Attacks of a battery as data: what to build once radius and norm are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steadygrad.attacks import Attack
from steadygrad.attacks.ball import Norm
from steadygrad.errors import MissingExtraError
from steadygrad.evaluation.audit.battery_entry import BatteryEntry
from steadygrad.evaluation.audit.outcome import Family, Scope

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An entry of a battery that still lacks its radius.

    build: makes the attack from ``eps``, ``settings`` and, where it works in several norms,
        ``norm``.
    norms: in which it works; one norm alone is not passed on.
    fewest_classes, most_classes: of the models it is for; None means any number.
    """

    name: str
    family: Family
    build: Callable[..., Attack]
    settings: Mapping[str, Any] = field(default_factory=dict)
    norms: tuple[Norm, ...] = ("linf", "l2")
    scope: Scope = "all"
    limit: int | None = None
    fewest_classes: int = 2
    most_classes: int | None = None

    def obstacle(self, norm: Norm, classes: int) -> str | None:
        """Return why it cannot be run, as the end of a sentence; None if it can."""
        if norm not in self.norms:
            return f"it does not work in {norm}"
        if classes < self.fewest_classes:
            return f"it needs {self.fewest_classes} classes, the model has {classes}"
        if self.most_classes is not None and classes > self.most_classes:
            return f"{classes} classes are too many targets to try them all"
        return None

    def attack(self, eps: float, norm: Norm) -> Attack | None:
        """Return the attack at a radius, None if it needs a library that is not installed."""
        try:
            return self.entry(eps, norm).attack
        except MissingExtraError:
            return None

    def entry(self, eps: float, norm: Norm) -> BatteryEntry:
        """Return the entry at a radius.

        Raises: MissingExtraError, if the attack needs a library that is not installed.
        """
        own = {"norm": norm} if len(self.norms) > 1 else {}
        attack = self.build(eps=eps, **own, **self.settings)
        return BatteryEntry(self.name, self.family, attack, self.scope, self.limit)

"""One attack of a battery, and whom it is run on."""

from dataclasses import dataclass
from typing import Any

from steadygrad.attacks import Attack, describe_attack
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.audit.outcome import Family, Scope
from steadygrad.evaluation.audit.transfer_attack import TransferAttack

__all__ = ["BatteryEntry"]


@dataclass(frozen=True, eq=False)
class BatteryEntry:
    """An attack under a name of its own.

    name: unique in a battery; the random draws of an attack depend on it.
    family: None tells it from what the attack asks of the model: "white-box" or "one-step" if
        gradients (at most one an image), "query" if outputs alone, "noise" if nothing.
    scope: "all" runs it on every example that is right without attack, "survivors" on those that
        every entry before it has failed on: cheaper, and each success of a query or transfer
        attack there says that the white-box attacks before it were led astray.
    limit: at most so many of them, evenly spread; None takes all. At least 1.
    Raises: HyperparameterError.
    """

    name: str
    family: Family | None
    attack: Attack
    scope: Scope = "all"
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise HyperparameterError("expected a name for an attack of the battery, got ''")
        if self.limit is not None and self.limit < 1:
            raise HyperparameterError(
                f"expected a limit of at least 1 image for {self.name}, got {self.limit}"
            )

    @property
    def description(self) -> dict[str, Any]:
        """Name and settings of the attack without ``eps``, as JSON can hold them."""
        if isinstance(self.attack, TransferAttack):
            return self.attack.describe()
        return describe_attack(self.attack)

"""Attacks of the user's own as entries of a battery, with a name each."""

from collections.abc import Sequence

from steadygrad.attacks import Attack, describe_attack, norm_of, with_eps
from steadygrad.attacks.adapters import AutoAttack
from steadygrad.attacks.ball import Norm
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.audit.battery_entry import BatteryEntry
from steadygrad.evaluation.audit.outcome import Family

__all__ = ["own_entries"]


def own_entries(
    attacks: Sequence[BatteryEntry | Attack], taken: Sequence[BatteryEntry], eps: float, norm: Norm
) -> list[BatteryEntry]:
    """Return the attacks as entries at a radius; their own eps plays no part.

    An attack that is no entry yet is called after itself, with a number if that name is taken,
    runs on all examples, and its family is told from what it asks of the model, but for AutoAttack.
    Raises: HyperparameterError, for an attack in another norm, one without an eps, or a name that
        is taken.
    """
    names = {entry.name for entry in taken}
    entries = []
    for given in attacks:
        attack = given.attack if isinstance(given, BatteryEntry) else given
        if norm_of(attack) != norm:
            raise HyperparameterError(
                f"expected attacks in {norm}, got {describe_attack(attack)['name']} in "
                f"{norm_of(attack)}"
            )
        moved = with_eps(attack, eps)
        if isinstance(given, BatteryEntry):
            if given.name in names:
                raise HyperparameterError(
                    f"expected attacks with names of their own, got two called {given.name}"
                )
            entry = BatteryEntry(given.name, given.family, moved, given.scope, given.limit)
        else:
            # What it asks of the model would tell of its attacks with gradients alone.
            family: Family | None = (
                "ensemble" if isinstance(attack, AutoAttack) and attack.is_ensemble else None
            )
            entry = BatteryEntry(_free_name(_plain_name(attack), names), family, moved)
        names.add(entry.name)
        entries.append(entry)
    return entries


def _plain_name(attack: Attack) -> str:
    described = describe_attack(attack)
    steps = described.get("steps")
    name = str(described["name"]).lower().replace(" ", "-")
    return f"{name}-{steps}" if isinstance(steps, int) else name


def _free_name(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"

"""Attacks in the words of results files."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from steadygrad.attacks.adapters import ForeignAttack
from steadygrad.attacks.base import Attack
from steadygrad.attacks.part import ATTACKS

__all__ = [
    "describe_attack",
    "modern_description",
]


def describe_attack(attack: Attack) -> dict[str, Any]:
    """Return name and settings without ``eps``, as values that JSON can hold.

    The name is the registry's, or the class name of an attack that is not in it; a setting that
    JSON cannot hold appears as its ``repr``. A foreign attack also names its library's version.
    """
    described: dict[str, Any] = {"name": ATTACKS.name_of(attack) or type(attack).__name__}
    if isinstance(attack, ForeignAttack):
        return described | attack.describe()
    untyped: Any = attack
    fields = dataclasses.fields(untyped) if dataclasses.is_dataclass(untyped) else ()
    for name in (field.name for field in fields if field.name != "eps"):
        value = getattr(attack, name)
        is_plain = value is None or isinstance(value, bool | int | float | str)
        described[name] = value if is_plain else repr(value)
    return described


def modern_description(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``describe_attack`` would say today of an attack that it described earlier.

    PGD had ``targeted`` before ``target``; it and FGSM had one norm, and PGD one loss and one
    reach, before these were settings; AutoAttack's Square had always its 5,000 queries.
    """
    modern = dict(described)
    if modern.get("name") == "pgd" and "targeted" in modern:
        modern["target"] = "random" if modern.pop("targeted") else None
        modern = {"reach": 1.85, "loss": "cross-entropy", "norm": "linf"} | modern
    elif modern.get("name") == "fgsm":
        modern = {"norm": "linf"} | modern
    elif modern.get("name") == "autoattack":
        modern = {"square_queries": 5000} | modern
    return modern

"""Attacks by name, for the command line and for configuration files."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from steadygrad.attacks.adapters import AutoAttack, CarliniWagner, ForeignAttack
from steadygrad.attacks.base import Attack
from steadygrad.attacks.fgsm import FGSM
from steadygrad.attacks.iterative_fgsm import IterativeFGSM
from steadygrad.attacks.longrange_correlated import LongRangeCorrelated, WhiteNoise
from steadygrad.attacks.momentum_iterative import MomentumIterative
from steadygrad.attacks.nes import NES
from steadygrad.attacks.pgd import PGD
from steadygrad.attacks.random_noise import RandomNoise
from steadygrad.errors import HyperparameterError, UnknownNameError

__all__ = [
    "attack_names",
    "attack_settings",
    "build_attack",
    "describe_attack",
    "modern_description",
]

# Those with an eps: DeepFool looks for the smallest perturbation and has none.
ATTACKS: Mapping[str, type[Any]] = {
    "fgsm": FGSM,
    "i-fgsm": IterativeFGSM,
    "pgd": PGD,
    "mim": MomentumIterative,
    "nes": NES,
    "random-noise": RandomNoise,
    "lrc": LongRangeCorrelated,
    "white-noise": WhiteNoise,
    "autoattack": AutoAttack,
    "carlini-wagner": CarliniWagner,
}


def attack_names() -> tuple[str, ...]:
    """Return every name that ``build_attack`` accepts."""
    return tuple(ATTACKS)


def attack_settings(name: str) -> dict[str, Any]:
    """Return the settings of an attack other than ``eps``, with their defaults.

    Raises: UnknownNameError, listing the names.
    """
    fields = dataclasses.fields(_attack_class(name))
    return {field.name: field.default for field in fields if field.name != "eps"}


def build_attack(name: str, **settings: Any) -> Attack:
    """Build the attack of that name, for example ``build_attack("pgd", eps=0.1, steps=20)``.

    Raises: UnknownNameError, listing the names; HyperparameterError, listing the settings that
        the attack has, or naming the value it refuses.
    """
    attack_class, known = _attack_class(name), ("eps", *attack_settings(name))
    for setting in settings:
        if setting not in known:
            raise HyperparameterError(
                f"expected settings of {name} among {', '.join(known)}, got {setting!r}"
            )
    if "eps" not in settings:
        raise HyperparameterError(f"expected a value for eps, which {name} cannot do without")
    attack: Attack = attack_class(**settings)
    return attack


def describe_attack(attack: Attack) -> dict[str, Any]:
    """Return name and settings without ``eps``, as values that JSON can hold.

    The name is the registry's, or the class name of an attack that is not in it; a setting that
    JSON cannot hold appears as its ``repr``. A foreign attack also names its library's version.
    """
    names = {attack_class: name for name, attack_class in ATTACKS.items()}
    described: dict[str, Any] = {"name": names.get(type(attack), type(attack).__name__)}
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


def _attack_class(name: str) -> type[Any]:
    if name not in ATTACKS:
        raise UnknownNameError(f"expected attack one of {', '.join(ATTACKS)}, got {name!r}")
    return ATTACKS[name]

"""Attacks in the words of results files."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from steadygrad.attacks.adapters import ForeignAttack
from steadygrad.attacks.adapters.description import hides_numbers, plain_setting
from steadygrad.attacks.base import Attack
from steadygrad.attacks.part import ATTACKS
from steadygrad.covariance import COVARIANCES, Dataset, Exponential
from steadygrad.parts import part_fields

__all__ = [
    "describe_attack",
    "modern_description",
]


def describe_attack(attack: Attack) -> dict[str, Any]:
    """Return name and settings without ``eps``, as values that JSON can hold.

    The name is the registry's, or the class name of an attack that is not in it; a setting that
    JSON cannot hold appears as its ``repr``, a registered part as its text. What these do not show,
    the numbers of tensors, arrays and modules and what a covariance file holds, appears as a
    digest: stored results are told apart by it. A foreign attack also names its library's version.
    Of an attack that is no dataclass the attributes are its settings.

    Raises:
        CheckpointError: a covariance file cannot be read.
    """
    described: dict[str, Any] = {"name": ATTACKS.name_of(attack) or type(attack).__name__}
    if isinstance(attack, ForeignAttack):
        return described | attack.describe()
    untyped: Any = attack
    families = {setting.key: setting.family for setting in part_fields(untyped)}
    if dataclasses.is_dataclass(untyped):
        names = [field.name for field in dataclasses.fields(untyped)]
    else:
        names = list(getattr(untyped, "__dict__", ()))
    for name in (name for name in names if name != "eps"):
        value, family = getattr(attack, name), families.get(name)
        if value is None or isinstance(value, bool | int | float | str):
            described[name] = value
        elif hides_numbers(value):
            described[name] = plain_setting(value)
        else:
            described[name] = repr(value) if family is None else family.text(value)
    return described


def modern_description(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``describe_attack`` would say today of an attack that it described earlier.

    PGD had ``targeted`` before ``target``; it and FGSM had one norm, and PGD one loss and one
    reach, before these were settings; AutoAttack's Square had always its 5,000 queries. The
    function of LRC noise was two settings beside a covariance, which was written as its ``repr``.
    """
    modern = dict(described)
    if modern.get("name") == "pgd" and "targeted" in modern:
        modern["target"] = "random" if modern.pop("targeted") else None
        modern = {"reach": 1.85, "loss": "cross-entropy", "norm": "linf"} | modern
    elif modern.get("name") == "fgsm":
        modern = {"norm": "linf"} | modern
    elif modern.get("name") == "autoattack":
        modern = {"square_queries": 5000} | modern
    elif modern.get("name") == "lrc" and "decay_length" in modern:
        length, between = modern.pop("decay_length"), modern.pop("inter_channel", 0.5)
        if modern.get("covariance") is None:
            modern["covariance"] = COVARIANCES.text(Exponential(length, between))
        elif modern["covariance"] == repr(Dataset()):
            modern["covariance"] = COVARIANCES.text(Dataset())
    return modern

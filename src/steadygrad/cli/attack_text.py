"""An attack as people type it: ``mim``, or ``pgd:steps=100,restarts=5``."""

import ast

from steadygrad.attacks import Attack, attack_names, attack_settings, build_attack
from steadygrad.attacks.ball import Norm
from steadygrad.cli.parsing import parse_fraction
from steadygrad.errors import HyperparameterError, UnknownNameError

__all__ = ["parse_attack"]


def parse_attack(text: str, *, eps: float, norm: Norm) -> Attack:
    """Return the attack written as NAME or NAME:SETTING=VALUE,..., at a radius.

    Values are numbers (also 8/255), true, false, none or words.
    Raises: UnknownNameError, HyperparameterError.
    """
    name, _, listed = text.partition(":")
    if name not in attack_names():
        raise UnknownNameError(f"expected attack one of {', '.join(attack_names())}, got {name!r}")
    settings: dict[str, object] = {}
    for part in filter(None, listed.split(",")):
        setting, equals, value = part.partition("=")
        if not equals:
            raise HyperparameterError(f"expected SETTING=VALUE in {text!r}, got {part!r}")
        settings[setting.strip().replace("-", "_")] = _value(value.strip())
    if "norm" in attack_settings(name):
        settings.setdefault("norm", norm)
    return build_attack(name, eps=eps, **settings)


def _value(text: str) -> object:
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return parse_fraction(text) if "/" in text else text

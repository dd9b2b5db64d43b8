"""Settings handed through to a library's class: which it has, and which follow the radius."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steadygrad.errors import HyperparameterError

__all__ = ["Settings", "TimesEps", "at_radius", "check_settings", "constructor_parameters"]

Settings = tuple[tuple[str, Any], ...]
"""Names and values, sorted by name: what a frozen dataclass can hold and hash."""


@dataclass(frozen=True)
class TimesEps:
    """A setting that is this multiple of eps, so that a step moves with the radius.

    ``from_torchattacks(torchattacks.PGD, eps=0.1, alpha=TimesEps(0.25))`` steps by eps / 4 at
    every radius of a curve; a plain number stays what it is.
    factor: positive; HyperparameterError otherwise.
    """

    factor: float

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise HyperparameterError(f"expected factor > 0, got {self.factor}")

    def __str__(self) -> str:
        return f"{self.factor:g} * eps"

    __repr__ = __str__


def constructor_parameters(foreign: type[Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a class by name, without ``self`` and the first, the model."""
    parameters = list(inspect.signature(foreign.__init__).parameters.values())[2:]
    return {parameter.name: parameter for parameter in parameters}


def check_settings(label: str, foreign: type[Any], settings: Mapping[str, Any]) -> None:
    """Refuse settings that the class does not have.

    Raises: HyperparameterError, listing those it has.
    """
    known = constructor_parameters(foreign)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in settings:
        if name not in known:
            raise HyperparameterError(
                f"expected settings of {label} among {', '.join(known)}, got {name!r}"
            )


def at_radius(settings: Settings, eps: float | None) -> dict[str, Any]:
    """Return the settings with each ``TimesEps`` turned into its number.

    Raises: HyperparameterError, if there is one and no radius.
    """
    values = {}
    for name, value in settings:
        if isinstance(value, TimesEps):
            if eps is None:
                raise HyperparameterError(f"expected a radius for {name}, which is {value}")
            values[name] = value.factor * eps
        else:
            values[name] = value
    return values

"""Refusing settings that would change nothing."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from steadygrad.errors import HyperparameterError

if TYPE_CHECKING:  # the configuration itself imports those who use this, to check its settings
    from steadygrad.training.config import TrainingConfig

__all__ = ["refuse_idle"]


def refuse_idle(config: "TrainingConfig", names: Iterable[str], why: str) -> None:
    """Refuse every setting of ``names`` that is not at its default; ``why`` ends the sentence.

    Raises: HyperparameterError, "NAME VALUE has no effect WHY, or leave it out".
    """
    defaults = {field.name: field.default for field in fields(config)}
    for name in names:
        value = getattr(config, name)
        if value != defaults[name]:
            raise HyperparameterError(f"{name} {value} has no effect {why}, or leave it out")

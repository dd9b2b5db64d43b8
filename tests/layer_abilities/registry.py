"""The abilities by name: functions of a layer and an input that return tensors."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Ability = Callable[[nn.Module, Tensor], Any]

ABILITIES: dict[str, Ability] = {}


def ability(function: Ability) -> Ability:
    ABILITIES[function.__name__] = function
    return function

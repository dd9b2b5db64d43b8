"""Gradient clipping as a part: how a step's parameter gradient is kept from growing too long."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family

__all__ = ["CLIPPINGS", "ClipNorm", "ClipValue", "Clipping", "clipping"]

C = TypeVar("C", bound=type[Any])


class Clipping(Protocol):
    """Changes the gradients of parameters in place."""

    def clip(self, parameters: Iterable[nn.Parameter]) -> None:
        """Shorten ``parameter.grad`` where it is too long; nothing waits for the device."""
        ...


CLIPPINGS: Family[Clipping] = Family(
    "clipping", "steadygrad.training", group="steadygrad.clippings"
)
"""Every registered clipping of the parameter gradient."""


def clipping(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``Clipping`` under ``name``."""
    return CLIPPINGS.register(name)


@clipping("norm")
@dataclass(frozen=True, kw_only=True)
class ClipNorm:
    """Scale the whole gradient to the L2 norm ``length`` where it is longer; positive."""

    positional: ClassVar[str] = "length"

    length: float

    def __post_init__(self) -> None:
        if not 0 < self.length < math.inf:
            raise HyperparameterError(f"expected length > 0, got {self.length}")

    def clip(self, parameters: Iterable[nn.Parameter]) -> None:
        """Scale the gradients together."""
        clip_grad_norm_(parameters, self.length)


@clipping("value")
@dataclass(frozen=True, kw_only=True)
class ClipValue:
    """Cut every entry of the gradient to ``[-largest, largest]``; positive.

    Of a complex entry, the real and the imaginary part.
    """

    positional: ClassVar[str] = "largest"

    largest: float

    def __post_init__(self) -> None:
        if not 0 < self.largest < math.inf:
            raise HyperparameterError(f"expected largest > 0, got {self.largest}")

    def clip(self, parameters: Iterable[nn.Parameter]) -> None:
        """Cut the gradients entry by entry."""
        learning = [parameter for parameter in parameters if parameter.grad is not None]
        if real := [parameter for parameter in learning if not parameter.is_complex()]:
            clip_grad_value_(real, self.largest)
        for parameter in learning:
            if parameter.grad is not None and parameter.is_complex():
                parameter.grad = parameter.grad.resolve_conj()  # view_as_real refuses a conjugate
                torch.view_as_real(parameter.grad).clamp_(-self.largest, self.largest)

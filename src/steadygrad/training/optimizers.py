"""Optimizers as parts: SGD, Adam and AdamW with the settings that a run can choose."""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "OptimizerPart", "built_optimizer", "optimizer"]

C = TypeVar("C", bound=type[Any])


class OptimizerPart(Protocol):
    """Settings of an optimizer; ``build`` gives it parameters."""

    @property
    def learning_rate(self) -> float:
        """The initial rate, positive, which a schedule multiplies."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return torch's optimizer over these parameters."""
        ...


OPTIMIZERS: Family[OptimizerPart] = Family(
    "optimizer", "steadygrad.training", group="steadygrad.optimizers"
)
"""Every registered optimizer."""


def optimizer(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers an ``OptimizerPart`` under ``name``."""
    return OPTIMIZERS.register(name)


def built_optimizer(part: OptimizerPart, parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """Return the optimizer that a part builds over parameters or groups of them.

    Raises:
        HyperparameterError: it builds something else or an optimizer that needs a closure, or has
            no rate for a schedule to multiply.
    """
    rate: object = getattr(part, "learning_rate", None)
    if not isinstance(rate, Real):
        raise HyperparameterError(
            f"expected a learning_rate of the optimizer {OPTIMIZERS.text(part)}, got {rate!r}"
        )
    built: object = part.build(parameters)
    if not isinstance(built, torch.optim.Optimizer):
        raise HyperparameterError(
            f"expected the optimizer {OPTIMIZERS.text(part)} to build a torch.optim.Optimizer, got "
            f"{type(built).__name__}"
        )
    closure = inspect.signature(built.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise HyperparameterError(
            f"expected an optimizer whose step needs no closure, got {OPTIMIZERS.text(part)}: it "
            "would evaluate each batch several times"
        )
    return built


@optimizer("sgd")
@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum; weight decay is added to the gradient.

    learning_rate: positive; 0.005 as in Yeats et al. (2021).
    momentum: in [0, 1). nesterov: look ahead, as that paper's text says and its code does not;
        None stands for True, but in a run with a network of ``second_order="frozen_phase"`` for
        False: that rule is no function's gradient and diverged with it on MNIST.
    weight_decay: at least 0.
    """

    learning_rate: float = 0.005
    momentum: float = 0.875
    nesterov: bool | None = None
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        _check_rate_and_decay(self)
        if not 0 <= self.momentum < 1:
            raise HyperparameterError(f"expected momentum in [0, 1), got {self.momentum}")
        if self.nesterov and self.momentum == 0:
            raise HyperparameterError("expected momentum > 0 with nesterov, got 0")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
        """Return torch's SGD."""
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov is not False and self.momentum > 0,
            weight_decay=self.weight_decay,
        )


@optimizer("adam")
@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam; weight decay is added to the gradient, as in the papers' code.

    learning_rate: positive. denominator: added to the root of the second moment, positive.
    weight_decay: at least 0.
    Source: Kingma & Ba, ICLR 2015 (arXiv:1412.6980).
    """

    learning_rate: float = 1e-3
    denominator: float = 1e-8
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        _check_rate_and_decay(self)
        if not 0 < self.denominator < math.inf:
            raise HyperparameterError(f"expected denominator > 0, got {self.denominator}")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        """Return torch's Adam."""
        return torch.optim.Adam(
            parameters,
            lr=self.learning_rate,
            eps=self.denominator,
            weight_decay=self.weight_decay,
        )


@optimizer("adamw")
@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam whose weight decay shrinks the weights directly.

    learning_rate: positive. weight_decay: at least 0.
    Source: Loshchilov & Hutter, ICLR 2019 (arXiv:1711.05101), Algorithm 2.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        _check_rate_and_decay(self)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
        """Return torch's AdamW."""
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


def _check_rate_and_decay(part: SGD | Adam | AdamW) -> None:
    if not 0 < part.learning_rate < math.inf:
        raise HyperparameterError(f"expected learning_rate > 0, got {part.learning_rate}")
    if not 0 <= part.weight_decay < math.inf:
        raise HyperparameterError(f"expected weight_decay >= 0, got {part.weight_decay}")

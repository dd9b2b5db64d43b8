"""Averaged weights: a running mean of the network over the steps, kept beside the raw one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from steadygrad.errors import HyperparameterError
from steadygrad.models import copied
from steadygrad.parts import Family

__all__ = ["AVERAGES", "AveragedWeights", "Averaging", "ExponentialMovingAverage", "averaging"]

C = TypeVar("C", bound=type[Any])


class Averaging(Protocol):
    """How much of the average is kept at each step."""

    def decay(self, steps: int) -> float:
        """Return the weight, in [0, 1], of the average so far when step ``steps`` (from 1) ends."""
        ...


AVERAGES: Family[Averaging] = Family(
    "averaging", "steadygrad.training", group="steadygrad.averages"
)
"""Every registered averaging of weights."""


def averaging(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers an ``Averaging`` under ``name``."""
    return AVERAGES.register(name)


@averaging("ema")
@dataclass(frozen=True, kw_only=True)
class ExponentialMovingAverage:
    """``average <- d * average + (1 - d) * weights``, with ``d = min(rate, steps / (steps + 9))``.

    rate: in [0, 1); the average reaches back over about ``1 / (1 - rate)`` steps. The second
        bound lets the first steps, far from any good weights, be forgotten fast.
    """

    positional: ClassVar[str] = "rate"

    rate: float = 0.998

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise HyperparameterError(f"expected rate in [0, 1), got {self.rate}")

    def decay(self, steps: int) -> float:
        """Return d."""
        return min(self.rate, steps / (steps + 9))


class AveragedWeights:
    """The average of a network's parameters; buffers (running statistics) are copied as they are.

    network: a copy of the network that holds the average, in eval mode.
    """

    def __init__(self, part: Averaging, model: nn.Module) -> None:
        self.part, self.steps = part, 0
        self.network = copied(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step.

        Raises:
            HyperparameterError: the part gives no weight in [0, 1].
        """
        self.steps += 1
        decay: object = self.part.decay(self.steps)
        if not (isinstance(decay, Real) and 0 <= float(decay) <= 1):
            raise HyperparameterError(
                f"expected the averaging {AVERAGES.text(self.part)} to keep a part in [0, 1] of "
                f"the average at step {self.steps}, got {decay!r}"
            )
        ours: list[Tensor] = list(self.network.parameters())
        average = get_ema_multi_avg_fn(float(decay))  # type: ignore[no-untyped-call] # torch leaves it untyped
        average(ours, [p.detach() for p in model.parameters()], self.steps)
        for kept, latest in zip(self.network.buffers(), model.buffers(), strict=True):
            kept.copy_(latest)

    def state_dict(self) -> dict[str, Any]:
        """Return the steps taken and the average."""
        return {"steps": self.steps, "network": self.network.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        weights: dict[str, Tensor] = state["network"]
        self.network.load_state_dict(weights)
        self.steps = int(state["steps"])

"""Derivative of an input-gradient norm by a finite difference of ordinary passes."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.errors import HyperparameterError
from steadygrad.penalties.backends import Statistics
from steadygrad.penalties.losses import example_losses
from steadygrad.penalties.model_passes import (
    RandomState,
    explained,
    held_statistics,
)
from steadygrad.penalties.part import ExampleLoss, GradientNorm, PenaltyTerms, backend

__all__ = ["FiniteDifference"]


@backend("finite-difference", title="Finite difference")
@dataclass(frozen=True, kw_only=True)
class FiniteDifference:
    """Replace the directional derivative along ``v(g)`` by a difference of two losses."""

    step_size: float = 0.003
    order: Literal[1, 2] = 1
    statistics: Statistics = "batch"

    def __post_init__(self) -> None:
        if not (self.step_size > 0 and math.isfinite(self.step_size)):
            raise HyperparameterError(f"expected step_size > 0, got {self.step_size}")
        if self.order not in (1, 2):
            raise HyperparameterError(f"expected order 1 or 2, got {self.order}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        norm: GradientNorm,
        *,
        power: int = 2,
        loss: ExampleLoss | None = None,
    ) -> PenaltyTerms:
        """Return per-example losses and norms whose derivative is the difference's."""
        randomness = RandomState(images.device)
        images = images.detach().requires_grad_()
        with explained():
            losses, logits = example_losses(model, images, labels, loss)
            (gradient,) = torch.autograd.grad(losses.sum(), images, retain_graph=True)
        length, direction = norm.steepest(gradient)
        shift = self.step_size * direction

        def shifted_losses(offset: Tensor) -> Tensor:
            with randomness.replayed(), held_statistics(model):
                return example_losses(model, images.detach() + offset, labels, loss)[0]

        if self.order == 1:
            slope = (shifted_losses(shift) - losses) / self.step_size
        else:
            slope = (shifted_losses(shift) - shifted_losses(-shift)) / (2 * self.step_size)
        # d N^2 = 2 N d(v . g): the exact value carries the difference's derivative.
        value = length if power == 1 else length.square()
        if getattr(norm, "mean", None) is not None:  # its length is not that of the norm
            value = norm.squared(gradient).detach()
        weight = 1.0 if power == 1 else 2 * length
        squared = value + weight * (slope - slope.detach())
        return PenaltyTerms(losses, squared, logits)

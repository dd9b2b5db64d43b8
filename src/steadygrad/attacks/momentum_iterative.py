"""Momentum iterative method (MIM): steps along a decaying sum of normalized gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.attacks.part import attack
from steadygrad.checks import (
    check_eps,
    check_finite_losses,
    check_images,
    check_labels,
    check_step_size,
)
from steadygrad.errors import HyperparameterError

__all__ = ["MomentumIterative"]


@attack("mim", title="MIM", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class MomentumIterative:
    """Repeat ``v <- decay * v + g / |g|_1; x <- project(x + step_size * sign(v))`` from the image.

    ``g`` is the gradient of the cross-entropy at ``x``, its L1 norm taken over each image.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    steps: gradient evaluations an image, at least 1.
    decay: weight of the past gradients, at least 0; 0 gives ``IterativeFGSM``.
    step_size: positive, in pixel units; None takes ``eps / steps``.
    norm: "linf"; or "l2": eps then is the length of the change, at least 0, and a step is
        ``step_size * v / |v|_2``. UnknownNameError otherwise.
    Source: Dong et al., CVPR 2018 (arXiv:1710.06081), Algorithm 1, Eq. (6) and (7); in L2 their
        section 3.3.

    An image whose gradient vanishes goes on along its past ones; without any, it stays.
    """

    eps: float
    steps: int = 10
    decay: float = 1.0
    step_size: float | None = None
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm)
        check_step_size(self.step_size, self.norm)
        if self.steps < 1:
            raise HyperparameterError(f"expected steps >= 1, got {self.steps}")
        if not 0 <= self.decay < float("inf"):
            raise HyperparameterError(f"expected decay >= 0 and finite, got {self.decay}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002  (every attack takes one)
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        goal, ball = Goal(labels), ball_of_norm(images, self.eps, self.norm)
        step_size = self.eps / self.steps if self.step_size is None else self.step_size
        adversarial, velocity = ball.images, torch.zeros_like(ball.images)
        total = torch.zeros((), device=images.device)
        for _ in range(self.steps):
            losses, gradient = goal.ascent(model, adversarial)
            total = total + losses
            velocity = self.decay * velocity + _of_unit_l1(gradient)
            step = ball.steepest(velocity)
            adversarial = ball.project(torch.add(adversarial, step, alpha=step_size))
        # One look for all steps: NaN would otherwise end as a weak attack.
        check_finite_losses(total)
        return adversarial


def _of_unit_l1(gradient: Tensor) -> Tensor:
    """Return ``g / |g|_1`` for each image, 0 where ``g`` is."""
    wide = torch.promote_types(gradient.dtype, torch.float32)
    norm = gradient.abs().sum(dim=(1, 2, 3), keepdim=True, dtype=wide)
    return torch.where(norm > 0, gradient / norm, 0.0).to(gradient.dtype)

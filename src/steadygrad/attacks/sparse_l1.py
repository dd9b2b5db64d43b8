"""Projected gradient ascent in an L1 ball, a few pixels at a time."""

from dataclasses import dataclass
from typing import Literal

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l1_ball import L1Ball
from steadygrad.attacks.losses import Loss, check_loss
from steadygrad.attacks.part import attack
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError

__all__ = ["SparseL1"]


@attack("sparse-l1", title="Sparse L1", family="white-box", norms=("l1",))
@dataclass(frozen=True, kw_only=True)
class SparseL1:
    """Repeat ``x <- project(x + step_size * e)``, with ``e`` on the pixels of largest gradient.

    Args:
        eps: largest sum of the changes of all pixel values, at least 0: 1 turns one value from
            black to white.
        steps: gradient evaluations an image, at least 1.
        reach: how many eps the steps add up to, positive; a step has the L1 length
            ``reach * eps / steps``.
        share: of the pixel values that a step moves, in (0, 1]; at least one is moved.
        loss: "cross-entropy", "margin" or "dlr", as in ``PGD``.
        norm: that of eps; there is no other.

    Raises:
        HyperparameterError: a number is outside its range.
        UnknownNameError: there is no such loss.

    The start is the image. The last iterate is returned, successful or not.

    Source: Tramer & Boneh, NeurIPS 2019 (arXiv:1904.13000), section 5 (sparse steepest ascent);
        the projection onto ball and pixel range together as asked for by Croce & Hein, ICML 2021
        (arXiv:2103.01208), section 3.
    """

    eps: float
    steps: int = 50
    reach: float = 4.0
    share: float = 0.05
    loss: Loss = "cross-entropy"
    norm: Literal["l1"] = "l1"

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm, norms=("l1",))
        check_loss(self.loss)
        if self.steps < 1:
            raise HyperparameterError(f"expected steps >= 1, got {self.steps}")
        if not 0 < self.reach < float("inf"):
            raise HyperparameterError(f"expected reach > 0 and finite, got {self.reach}")
        if not 0 < self.share <= 1:
            raise HyperparameterError(f"expected share in (0, 1], got {self.share}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        ball, goal = L1Ball(images, self.eps), Goal(labels, loss=self.loss)
        pixels = max(1, round(self.share * images[0].numel()))
        length = self.reach * self.eps / self.steps
        here, total = ball.images, torch.zeros((), device=images.device)
        for _ in range(self.steps):
            values, gradient = goal.ascent(model, here)
            total = total + values
            step = ball.steepest(gradient, here, pixels)
            here = ball.project(torch.add(here, step, alpha=length))
        check_finite_losses(total)
        return here

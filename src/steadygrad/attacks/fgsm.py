"""Fast gradient sign method (FGSM): one step to the edge of the ball."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.attacks.labels import predicted_labels
from steadygrad.attacks.part import attack
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels

__all__ = ["FGSM"]


@attack("fgsm", title="FGSM", family="one-step", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class FGSM:
    """Return ``clamp(x + eps * sign(grad_x loss(x, y)), 0, 1)``, loss the cross-entropy.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    norm: "linf", or "l2", where the step is ``eps * g / |g|_2`` and eps the length of the change,
        at least 0; UnknownNameError otherwise.
    start_from_prediction: take the model's own prediction for ``y`` instead of the label given.
    Source: Goodfellow, Shlens & Szegedy, ICLR 2015 (arXiv:1412.6572), section 4. Both steps are the
        best within the ball if the loss is linear, up to the clamp.

    No random start. A pixel whose gradient is exactly zero stays as it is.
    """

    eps: float
    start_from_prediction: bool = False
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm)

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
        if self.start_from_prediction:
            labels = predicted_labels(model, images)
        losses, gradient = Goal(labels).ascent(model, images)
        check_finite_losses(losses)
        ball = ball_of_norm(images, self.eps, self.norm)
        return ball.project(torch.add(ball.images, ball.steepest(gradient), alpha=self.eps))

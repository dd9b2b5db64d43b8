"""Random noise: an attack that needs no gradient, and with one draw no forward pass."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.part import attack
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError, UnknownNameError

__all__ = ["DISTRIBUTIONS", "RandomNoise"]

DISTRIBUTIONS = ("uniform", "sign")


@attack("random-noise", title="random noise", family="noise")
@dataclass(frozen=True, kw_only=True)
class RandomNoise:
    """Return ``clamp(x + noise, 0, 1)``, the worst of ``samples`` draws for each example.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    distribution: "uniform" draws each pixel's change from U(-eps, eps), "sign" takes -eps or eps
        with equal probability; UnknownNameError otherwise.
    samples: draws an image, at least 1. Each example keeps its first misclassified draw, else
        that of highest cross-entropy. A single draw needs no forward pass.
    """

    eps: float
    distribution: str = "uniform"
    samples: int = 1

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.distribution not in DISTRIBUTIONS:
            raise UnknownNameError(
                f"expected distribution one of {', '.join(DISTRIBUTIONS)}, "
                f"got {self.distribution!r}"
            )
        if self.samples < 1:
            raise HyperparameterError(f"expected samples >= 1, got {self.samples}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return disturbed ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        ball, goal = PerturbationBall(images, self.eps), Goal(labels)
        if self.samples == 1:
            return self._draw(ball, generator)

        found = StrongestFound(images)
        for _ in range(self.samples):
            noisy, rows = self._draw(ball, generator), found.unbroken
            if len(rows) == 0:
                break
            values, succeeded = goal.at(rows).judge(model, noisy[rows])
            check_finite_losses(values)
            found.offer(rows, noisy[rows], values, succeeded)
        return found.images

    def _draw(self, ball: PerturbationBall, generator: torch.Generator | None) -> Images:
        if self.distribution == "uniform":
            return ball.draw_uniform(generator)
        return ball.draw_sign(generator)

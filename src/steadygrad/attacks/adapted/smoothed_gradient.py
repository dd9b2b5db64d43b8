"""Smoothed gradient: the mean of gradients at Gaussian copies, of growing width."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.adapted.ascent import (
    Climb,
    check_ascent,
    check_widths,
    climb,
    goal_of_copies,
    noisy_copies,
    pixel_width,
)
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.losses import Loss
from steadygrad.attacks.part import attack

__all__ = ["SmoothedGradient"]


@attack("smoothed-gradient", title="Smoothed gradient", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class SmoothedGradient:
    """Climb ``E[loss(model(x + sigma u), y)]``, ``u ~ N(0, 1)``: fine ripples average out.

    Against gradients that are right in the mean but alternate from place to place (shattered ones,
    winners that change). Gradients that are zero or false everywhere stay so: see
    ``WideDifferences``.

    eps: radius in ``norm``; steps: at least 1, for each width; copies: a step's gradients, at
        least 1.
    widths: sigma in parts of eps (in L2, of the length of the noise), tried one after the other
        until an example is broken.
    loss: "cross-entropy", "margin" or "dlr".
    Source: SmoothGrad, Smilkov et al. 2017 (arXiv:1706.03825), Eq. (2), here inside an attack;
        advised against shattered gradients by Athalye, Carlini & Wagner, ICML 2018.
    """

    eps: float
    steps: int = 20
    copies: int = 8
    widths: tuple[float, ...] = (0.1, 0.5)
    loss: Loss = "margin"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_ascent(self.eps, self.norm, self.loss, steps=self.steps, copies=self.copies)
        check_widths(self.widths)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        climbs = self._climbs(model, images, labels, generator)
        return climb(self, model, images, labels, climbs, generator)

    def _climbs(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: torch.Generator | None,
    ) -> Iterator[Climb]:
        noise_of = noisy_copies(labels, generator)
        for width in self.widths:
            sigma = pixel_width(width, self.eps, self.norm, images)

            def gradient(points: Images, goal: Goal, rows: Tensor, sigma: float = sigma) -> Tensor:
                total = torch.zeros_like(points)
                for noise in noise_of(points, rows, self.copies):
                    copies = (points.unsqueeze(1) + sigma * noise).clamp(0, 1)
                    asked = goal_of_copies(goal, noise.shape[1])
                    slopes = asked.ascent(model, copies.flatten(0, 1))[1]
                    total += slopes.view_as(copies).sum(dim=1)
                return total

            yield gradient, 1

"""Smoothed gradient: the mean of gradients at Gaussian copies, of growing width."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.adapted.ascent import (
    ascend,
    check_ascent,
    check_widths,
    noisy_copies,
    pixel_width,
)
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.attacks.losses import Loss
from steadygrad.attacks.part import attack
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_images, check_labels

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
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        noise_of = noisy_copies(labels, generator)
        ball, found = ball_of_norm(images, self.eps, self.norm), StrongestFound(images)
        goal = Goal(labels, loss=self.loss)
        for width in self.widths:
            sigma = pixel_width(width, self.eps, self.norm, images)

            def gradient(points: Images, aim: Goal, rows: Tensor, sigma: float = sigma) -> Tensor:
                total = torch.zeros_like(points)
                for noise in noise_of(points, rows, self.copies):
                    copies = (points.unsqueeze(1) + sigma * noise).clamp(0, 1)
                    owners = torch.arange(len(rows), device=rows.device)
                    asked = aim.at(owners.repeat_interleave(noise.shape[1]))
                    slopes = asked.ascent(model, copies.flatten(0, 1))[1]
                    total += slopes.view_as(copies).sum(dim=1)
                return total

            start = ball.draw_uniform(generator)
            ascend(model, goal, ball, start, found, gradient, steps=self.steps)
        return found.images

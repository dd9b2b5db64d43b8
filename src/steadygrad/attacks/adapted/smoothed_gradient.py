"""Smoothed gradient: the mean of gradients at Gaussian copies, of growing width."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.adapted.ascent import check_ascent, climb
from steadygrad.attacks.adapted.blurred import blurred_climbs, check_widths
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

        def slope(asked: Goal, points: Images, sigma: float, noise: Tensor) -> Tensor:
            copies = (points + sigma * noise).clamp(0, 1)
            return asked.ascent(model, copies.flatten(0, 1))[1].view_as(copies)

        climbs = blurred_climbs(self, self.copies, slope, images, labels, generator)
        return climb(self, model, images, labels, climbs, generator)

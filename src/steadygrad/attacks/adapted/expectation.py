"""Expectation over draws: steps along gradients averaged over a random model's passes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.adapted.ascent import Climb, check_ascent, climb, mean_gradient
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.losses import Loss
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError

__all__ = ["ExpectationOverDraws", "draws_needed"]

MEASURED, MOST, LOOKED_AT = 8, 64, 16
"""Passes that the variance is measured with; most draws that follow; images that are looked at."""
ERROR = 0.5
"""Of the averaged gradient, in parts of its length, that the draws are to keep."""


def draws_needed(
    model: Classifier,
    images: Images,
    labels: Labels,
    *,
    loss: Loss = "margin",
    passes: int = MEASURED,
    most: int = MOST,
) -> int:
    """Return how many passes to average so that the mean gradient is right to half its length.

    ``n = v / 0.5^2`` with ``v`` the variance of one pass's gradient over the squared length of the
    mean, the median over up to 16 of the images, both estimated without bias from ``passes``.
    Between 1 (a model that answers alike each time) and ``most``; draws from torch's global
    generator if the model does.
    Raises: ModelError, LabelError.
    """
    goal, shown = Goal(labels[:LOOKED_AT], loss=loss), images[:LOOKED_AT]
    slopes = torch.stack([goal.ascent(model, shown)[1] for _ in range(passes)]).flatten(start_dim=2)
    mean = slopes.mean(dim=0)
    variance = (slopes - mean).square().sum(dim=(0, 2)) / (passes - 1)
    # The mean of so many passes is too long by its own error.
    length = (mean.square().sum(dim=1) - variance / passes).clamp_min(0)
    ratio = torch.where(variance > 1e-12 * length, variance / length, 0.0)
    needed = float(ratio.median()) / ERROR**2
    return most if not math.isfinite(needed) else min(most, max(1, math.ceil(needed)))


@attack("expectation", title="Expectation over draws", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class ExpectationOverDraws:
    """Climb ``E[loss(model(x), y)]`` of a model that answers differently each time.

    The gradient of every step is the mean over ``draws`` passes, and every iterate is judged by the
    mean of as many answers.

    eps: radius in ``norm``; steps: at least 1; restarts: from random points, at least 1.
    draws: passes a step, at least 1; None measures the variance first, see ``draws_needed``.
    loss: "cross-entropy", "margin" or "dlr".
    Source: expectation over transformation, Athalye, Engstrom, Ilyas & Kwok, ICML 2018
        (arXiv:1707.07397), section 2; advised against random defences by Athalye, Carlini & Wagner,
        ICML 2018 (arXiv:1802.00420), section 4.2. The number of draws from the variance is ours.
    """

    eps: float
    steps: int = 40
    restarts: int = 1
    draws: int | None = None
    loss: Loss = "margin"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_ascent(self.eps, self.norm, self.loss, steps=self.steps, restarts=self.restarts)
        if self.draws is not None and self.draws < 1:
            raise HyperparameterError(f"expected draws >= 1 or None, got {self.draws}")

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
        return climb(self, model, images, labels, self._climbs(model, images, labels), generator)

    def _climbs(self, model: Classifier, images: Images, labels: Labels) -> Iterator[Climb]:
        draws = self.draws
        if draws is None:
            draws = draws_needed(model, images.detach(), labels, loss=self.loss)
        for _ in range(self.restarts):
            yield mean_gradient(model, draws), draws

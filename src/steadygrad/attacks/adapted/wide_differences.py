"""Wide differences: slopes measured over steps as wide as the ball, for gradients that are dead."""

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

__all__ = ["WideDifferences"]


@attack("wide-differences", title="Wide differences", family="query", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class WideDifferences:
    """Climb the slope of the loss blurred over ``sigma``, measured from outputs alone.

    ``g = sum_i (J(x + sigma u_i) - J(x - sigma u_i)) u_i`` with ``u_i ~ N(0, 1)``: the gradient of
    J blurred by a Gaussian, as in NES, but as wide as the ball. Roundings, sawteeth and steps that
    are narrower than that vanish in it. The model is never differentiated.

    eps: radius in ``norm``; steps: at least 1, for each width; pairs: differences a step, at least
        1.
    widths: sigma in parts of eps (in L2, of the length of the noise), growing, tried one after the
        other until an example is broken.
    loss: J, "cross-entropy", "margin" or "dlr".
    Source: Ilyas, Engstrom, Athalye & Lin, ICML 2018 (arXiv:1804.08598), section 2.2; widths,
        momentum and shrinking steps are ours.
    """

    eps: float
    steps: int = 25
    pairs: int = 30
    widths: tuple[float, ...] = (0.25, 1.0)
    loss: Loss = "margin"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_ascent(self.eps, self.norm, self.loss, steps=self.steps, pairs=self.pairs)
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
                for noise in noise_of(points, rows, self.pairs):
                    asked = goal_of_copies(goal, noise.shape[1])
                    ahead, behind = (
                        asked.judge(model, (points.unsqueeze(1) + move).flatten(0, 1))[0]
                        for move in (sigma * noise, -sigma * noise)
                    )
                    rise = (ahead - behind).view(len(rows), -1, 1, 1, 1).to(points.dtype)
                    total += (rise * noise).sum(dim=1)
                return total

            yield gradient, 1

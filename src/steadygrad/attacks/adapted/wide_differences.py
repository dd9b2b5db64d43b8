"""Wide differences: slopes measured over steps as wide as the ball, for gradients that are dead."""

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

        def slope(asked: Goal, points: Images, sigma: float, noise: Tensor) -> Tensor:
            ahead, behind = (
                asked.judge(model, (points + move).flatten(0, 1))[0]
                for move in (sigma * noise, -sigma * noise)
            )
            rise = (ahead - behind).view(*noise.shape[:2], 1, 1, 1).to(points.dtype)
            return rise * noise

        climbs = blurred_climbs(self, self.pairs, slope, images, labels, generator)
        return climb(self, model, images, labels, climbs, generator)

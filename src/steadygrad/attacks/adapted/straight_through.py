"""Straight-through: PGD through a model whose roundings and steps pass the gradient on."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.adapted.ascent import check_ascent, climb, mean_gradient
from steadygrad.attacks.adapted.substitutes import StraightThroughMode
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.losses import Loss
from steadygrad.attacks.part import attack

__all__ = ["StraightThrough", "substituted_operations"]


def substituted_operations(model: Classifier, images: Images) -> tuple[str, ...]:
    """Return the names of the operations on the way from images to logits that break gradients.

    Such as "round", "sign", "argmax", "detach", "no_grad"; in the order of appearance, each once.
    An operation that is not listed under ``StraightThroughMode`` is not found.
    """
    with torch.inference_mode(False), torch.enable_grad():
        mode = StraightThroughMode()
        shown = images.detach().clone().requires_grad_()
        with mode:
            model(shown)
    return tuple(mode.replaced)


@attack("straight-through", title="Straight-through", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class StraightThrough:
    """Climb a loss whose gradient passes through roundings, steps and detached parts.

    The forward pass is the model's own to the bit; see ``StraightThroughMode`` for what is replaced
    in the backward pass. Works on whatever torch operations the model calls, found by themselves.

    eps: radius in ``norm``; steps: at least 1; restarts: from random points, at least 1.
    draws: passes whose gradients a step averages, for models that are random too; at least 1.
    loss: "cross-entropy", "margin" or "dlr".
    Source: as ``StraightThroughMode``.
    """

    eps: float
    steps: int = 40
    restarts: int = 2
    draws: int = 1
    loss: Loss = "margin"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        counts = {"steps": self.steps, "restarts": self.restarts, "draws": self.draws}
        check_ascent(self.eps, self.norm, self.loss, **counts)

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
        softened = mean_gradient(_Softened(model), self.draws)
        climbs = [(softened, self.draws)] * self.restarts
        return climb(self, model, images, labels, climbs, generator)


class _Softened:
    """A model whose gradients pass through what would break them."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def __call__(self, images: Images) -> Logits:
        with StraightThroughMode():
            return self.model(images)

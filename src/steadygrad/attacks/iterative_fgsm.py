"""Iterative fast gradient sign method (I-FGSM, basic iterative method): FGSM in small steps."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.part import attack
from steadygrad.attacks.pgd import PGD

__all__ = ["IterativeFGSM"]


@attack("i-fgsm", title="I-FGSM", family="white-box")
@dataclass(frozen=True, kw_only=True)
class IterativeFGSM:
    """Repeat ``x <- project(x + step_size * sign(grad_x loss(x, y)))`` from the image itself.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    steps: gradient evaluations an image, at least 1.
    step_size: positive, in pixel units; None takes ``eps / steps``, which reaches the edge of the
        ball exactly. The paper takes one grey level, 1/255, and as many steps as eps needs.
    Source: Kurakin, Goodfellow & Bengio, ICLR 2017 workshop (arXiv:1607.02533), section 2.2. The
        loss is the cross-entropy.

    This is ``PGD`` without its random start.
    """

    eps: float
    steps: int = 10
    step_size: float | None = None

    def __post_init__(self) -> None:
        self._as_pgd()

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
        return self._as_pgd()(model, images, labels, generator=generator)

    def _as_pgd(self) -> PGD:
        return PGD(
            eps=self.eps,
            steps=self.steps,
            step_size=self.step_size,
            random_start=False,
            reach=1.0,
        )

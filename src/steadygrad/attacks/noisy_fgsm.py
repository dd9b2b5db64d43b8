"""N-FGSM: one gradient step from a noisy neighbour, kept out of no ball; for training."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.part import attack
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.draws import uniform
from steadygrad.errors import HyperparameterError

__all__ = ["NoisyFGSM"]


@attack("n-fgsm", title="N-FGSM", family="one-step", stays_in_ball=False)
@dataclass(frozen=True, kw_only=True)
class NoisyFGSM:
    """Return ``clamp(x' + eps * sign(grad loss(x', y)), 0, 1)`` at ``x' = x + U(-k eps, k eps)``.

    eps: length of the step in every pixel, in [0, 1]; HyperparameterError otherwise. The result
        may lie ``(1 + noise) * eps`` from ``x``: it is no attack to evaluate with.
    noise: k, half-width of the noise in units of eps, at least 0.
    Source: de Jorge et al., NeurIPS 2022 (arXiv:2202.01181), Algorithm 1; k = 2 for Linf.
    """

    eps: float
    noise: float = 2.0

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if not 0 <= self.noise < float("inf"):
            raise HyperparameterError(f"expected noise >= 0 in units of eps, got {self.noise}")

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
        images = images.detach()
        if self.eps == 0:
            return images.clone()
        drawn = uniform(images.shape, generator, dtype=images.dtype, device=images.device)
        noisy = torch.add(images, 2 * drawn - 1, alpha=self.noise * self.eps)
        losses, gradient = Goal(labels).ascent(model, noisy)
        check_finite_losses(losses)
        return torch.add(noisy, gradient.sign(), alpha=self.eps).clamp_(0, 1)

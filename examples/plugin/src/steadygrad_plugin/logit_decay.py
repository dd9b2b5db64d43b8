"""A penalty in one file: the mean square of the logits, which keeps a network from boasting."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad.penalties import CrossEntropy, PenalizedLoss, example_losses, penalty


@penalty("logit-decay", title="Logit decay")
@dataclass(frozen=True, kw_only=True)
class LogitDecay:
    """Add ``strength * mean(logits^2)`` to the mean loss of a batch; strength at least 0."""

    strength: float

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError(f"expected strength >= 0, got {self.strength}")

    def __call__(
        self,
        model,
        images: Tensor,
        labels: Tensor,
        *,
        loss=None,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits."""
        losses, logits = example_losses(model, images, labels, loss or CrossEntropy())
        data_loss, added = losses.mean(), self.strength * logits.square().mean()
        return PenalizedLoss(data_loss + added, data_loss, added, logits)

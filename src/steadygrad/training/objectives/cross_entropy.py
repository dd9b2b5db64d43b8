"""Plain cross-entropy."""

from dataclasses import dataclass

import torch
from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.penalties import PenalizedLoss, example_losses

__all__ = ["CrossEntropy"]


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross-entropy of the batch; its penalty is 0."""

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002 - draws nothing
    ) -> PenalizedLoss:
        losses, logits = example_losses(model, images, labels)
        loss = losses.mean()
        return PenalizedLoss(loss=loss, data_loss=loss, penalty=loss.new_zeros(()), logits=logits)

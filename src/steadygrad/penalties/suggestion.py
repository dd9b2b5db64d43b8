"""A penalty's strength from the gradients of the network that it is for."""

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from steadygrad._typing import Images
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.penalties.norm_penalties import SquaredNormPenalty
from steadygrad.penalties.part import NORMS, ExampleLoss, GradientNorm

__all__ = ["StrengthSuggestion", "suggest_strength"]


@dataclass(frozen=True)
class StrengthSuggestion:
    """A strength of the squared-norm penalty, with what it was derived from.

    Attributes:
        strength: for ``SquaredNormPenalty(strength=strength, norm=norm)``.
        ramp_steps: over how many first steps to raise the penalty from 0, that is to minimise
            ``data_loss + min(1, step / ramp_steps) * penalty``.
        data_loss: mean loss that was measured.
        mean_square: mean of ``N(g_i)^2``.
        images: how many images were measured.
    """

    strength: float
    ramp_steps: int
    data_loss: float
    mean_square: float
    images: int

    def __str__(self) -> str:
        return (
            f"strength {self.strength:.3g}, raised over the first {self.ramp_steps} steps (mean "
            f"squared gradient norm {self.mean_square:.3g}, data loss {self.data_loss:.3g}, over "
            f"{self.images} images)"
        )


def suggest_strength(
    model: nn.Module,
    batches: Iterable[tuple[Images, Tensor]],
    *,
    norm: GradientNorm | str = "l1",
    target: float = 1.0,
    loss: ExampleLoss | None = None,
    max_batches: int = 8,
) -> StrengthSuggestion:
    """Propose a strength at which the squared-norm penalty is ``target`` times the data loss.

    Measures ``mean_i N(g_i)^2`` with the model in eval mode, left as it was:
    ``strength = target * data loss / mean_i N(g_i)^2``. The network may be an untrained or a
    trained one. In a trained one the data loss is near 0 and a proportion of it says little: there
    it counts as at least 0.1 nat. Gradients fall fast once they are penalised, so the penalty soon
    becomes a smaller part; the ramp keeps its first steps from undoing what the network knows, an
    epoch's worth where ``batches`` has a length, 200 steps else.

    For a radius instead, take ``NormPenalty(eps=...)``, which needs no strength.

    Args:
        model: images in [0, 1] to logits.
        batches: pairs of images and labels, such as a ``DataLoader``.
        norm: as in ``SquaredNormPenalty``.
        target: penalty over data loss at the start, positive.
        loss: one loss an image; None is the cross-entropy.
        max_batches: how many batches to measure, at least 1.

    Raises:
        HyperparameterError: a number is outside its range, or there is no batch.
        ModelError: the gradients are all 0 or not finite.
    """
    if not 0 < target < float("inf"):
        raise HyperparameterError(f"expected target > 0, got {target}")
    if max_batches < 1:
        raise HyperparameterError(f"expected max_batches >= 1, got {max_batches}")
    measured = NORMS.of(norm)
    penalty = SquaredNormPenalty(strength=1.0, norm=measured)
    total_loss = total_square = 0.0
    images = 0
    with evaluation_mode(model), torch.no_grad():
        for batch_images, labels in islice(batches, max_batches):
            result = penalty(model, batch_images, labels, loss=loss)
            count = len(batch_images)
            total_loss += result.data_loss.item() * count
            total_square += result.penalty.item() * count
            images += count
    if images == 0:
        raise HyperparameterError("expected at least one batch of images and labels, got none")
    data_loss, mean_square = total_loss / images, total_square / images
    if not 0 < mean_square < float("inf"):
        raise ModelError(
            f"expected finite gradients that are not 0, got a mean square of {mean_square}"
        )
    return StrengthSuggestion(
        strength=target * max(data_loss, 0.1) / mean_square,
        ramp_steps=len(batches) if isinstance(batches, Sized) else 200,
        data_loss=data_loss,
        mean_square=mean_square,
        images=images,
    )

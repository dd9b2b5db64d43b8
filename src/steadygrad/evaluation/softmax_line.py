"""What a classifier says along the straight line through an image and its adversarial twin."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images
from steadygrad.checks import check_finite_losses, check_images, check_logits
from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["SoftmaxLines", "softmax_lines"]


@dataclass(frozen=True, eq=False)
class SoftmaxLines:
    """Class probabilities at ``x + t r`` for some images ``x`` and perturbations ``r``; on the CPU.

    positions: the values of ``t``, (points,), ascending: 0 is the image, 1 its adversarial twin.
    probabilities: softmax of the logits, (images, points, classes).
    """

    positions: Tensor
    probabilities: Tensor

    @property
    def steepest(self) -> Tensor:
        """The fastest change of any class's probability, per unit of ``t``, (images,)."""
        change = self.probabilities.diff(dim=1).abs().amax(dim=2)
        return (change / self.positions.diff().to(change)).amax(dim=1)


@torch.no_grad()
def softmax_lines(
    model: Classifier,
    images: Images,
    perturbations: Tensor,
    *,
    reach: float = 5.0,
    points: int = 101,
    device: torch.device | str | None = None,
) -> SoftmaxLines:
    """Return the softmax activations at ``x + t r``, ``t`` evenly spaced over [-reach, reach].

    images: (batch, channels, height, width) in [0, 1]; perturbations: ``r``, of the same shape.
    reach: above 0; points: at least 2, an odd number has the image itself among them.
    device: where batches are sent; None takes the model's.
    The points are *not* clipped to [0, 1]: clipping would bend the line.
    Raises: ImageError, ShapeError, ModelError; HyperparameterError, if a number is out of range.
    Source: Roth et al., arXiv:1805.08736, Fig. 6 (``r`` a PGD perturbation of eps 4/255, reach 5).
    """
    check_images(images)
    if perturbations.shape != images.shape:
        raise ShapeError(
            f"expected perturbations of the images' shape {tuple(images.shape)}, "
            f"got {tuple(perturbations.shape)}"
        )
    if not 0 < reach < float("inf"):
        raise HyperparameterError(f"expected reach > 0, got {reach}")
    if points < 2:
        raise HyperparameterError(f"expected at least 2 points, got {points}")
    device = model_device(model, images) if device is None else device
    positions = torch.linspace(-reach, reach, points, dtype=torch.float64)
    along = positions.to(device, images.dtype).view(-1, 1, 1, 1)
    lines = []
    with evaluation_mode(model):
        for image, perturbation in zip(images.to(device), perturbations.to(device), strict=True):
            logits = model(image + along * perturbation)
            check_logits(logits, points)
            check_finite_losses(logits)
            lines.append(logits.softmax(dim=1).cpu())
    return SoftmaxLines(positions=positions, probabilities=torch.stack(lines))

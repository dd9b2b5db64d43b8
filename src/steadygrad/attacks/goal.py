"""What an attack climbs: the cross-entropy away from the labels, or towards targets."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_logits
from steadygrad.errors import LabelError, ModelError

__all__ = ["Goal"]


class Goal:
    """The quantity ``J(x)`` that an attack raises, one value per example.

    ``J`` is the cross-entropy at ``labels``, or, with ``is_targeted``, minus that at ``labels``.
    It is reached where the prediction is not the label, or is the target.

    labels: int64 (batch,), all at least 0.
    """

    def __init__(self, labels: Labels, *, is_targeted: bool = False) -> None:
        self.labels, self.is_targeted = labels, is_targeted
        self._highest = int(labels.max())

    def at(self, rows: Tensor) -> "Goal":
        """Return the goal of the examples at ``rows``, int64 indices into the batch."""
        return Goal(self.labels[rows], is_targeted=self.is_targeted)

    def ascent(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor]:
        """Return ``J`` (batch,) and its gradient with respect to the images, shaped like them.

        Works whatever the caller's grad mode, torch.inference_mode included. Only the images'
        gradient is built: nothing is computed for, or left on, the model's parameters.

        Raises: ModelError, if the outputs are no logits or do not depend on the images;
            LabelError, if a label is not one of the model's classes. Whether ``J`` is finite is
            left to the caller, who can ask once for many steps.
        """
        with torch.inference_mode(False), torch.enable_grad():
            images = _recordable(images).requires_grad_()
            values = self._values(model(images), _recordable(self.labels))
            if not values.requires_grad:
                raise ModelError("expected logits differentiable in the images, got constants")
            # A vector of ones instead of a sum: no overflow in half precision.
            (gradient,) = torch.autograd.grad(
                values, images, torch.ones_like(values), allow_unused=True
            )
        if gradient is None:
            raise ModelError("expected logits that depend on the images, got constants")
        return values.detach(), gradient

    def judge(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor]:
        """Return ``J`` (batch,) and whether each example reaches the goal, bool (batch,).

        Raises: as ``ascent``.
        """
        with torch.no_grad():
            logits = model(images)
            values = self._values(logits, self.labels)
        return values, (logits.argmax(dim=1) == self.labels) == self.is_targeted

    def _values(self, logits: Tensor, labels: Labels) -> Tensor:
        check_logits(logits, len(labels))
        if self._highest >= logits.shape[1]:
            raise LabelError(
                f"expected labels from 0 to {logits.shape[1] - 1}, got {self._highest}"
            )
        losses = cross_entropy(logits, labels, reduction="none")
        return -losses if self.is_targeted else losses


def _recordable(tensor: Tensor) -> Tensor:
    # Autograd refuses tensors made under torch.inference_mode, but takes copies of them.
    return tensor.clone() if tensor.is_inference() else tensor.detach()

"""What an attack climbs: a loss that leads away from the labels, or towards targets."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.losses import LOSSES, Loss, check_classes, check_loss
from steadygrad.checks import check_logits
from steadygrad.errors import LabelError, ModelError
from steadygrad.memory import keep_freed_memory

__all__ = ["Goal"]


class Goal:
    """The quantity ``J(x)`` that an attack raises, one value per example.

    labels: int64 (batch,), all at least 0: the classes to leave.
    targets: int64 (batch,), the classes to reach; None for any other than the labels.
    loss: which ``J``, "cross-entropy", "margin" or "dlr", see ``losses``; UnknownNameError
        otherwise.

    The goal is reached where the prediction is not the label, or is the target.
    """

    def __init__(
        self, labels: Labels, *, targets: Labels | None = None, loss: Loss = "cross-entropy"
    ) -> None:
        check_loss(loss)
        self.labels, self.targets, self.loss = labels, targets, loss
        self._highest = max(
            int(classes.max()) for classes in (labels, targets) if classes is not None
        )

    def at(self, rows: Tensor) -> "Goal":
        """Return the goal of the examples at ``rows``, int64 indices into the batch."""
        targets = None if self.targets is None else self.targets[rows]
        return Goal(self.labels[rows], targets=targets, loss=self.loss)

    def ascent(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor]:
        """Return ``J`` (batch,) and its gradient with respect to the images, shaped like them.

        Works whatever the caller's grad mode, torch.inference_mode included. Only the images'
        gradient is built: nothing is computed for, or left on, the model's parameters.

        Raises: ModelError, if the outputs are no logits, do not depend on the images, or are of
            too few classes for the loss;
            LabelError, if a label is not one of the model's classes. Whether ``J`` is finite is
            left to the caller, who can ask once for many steps.
        """
        values, gradient, _ = self._ascent(model, images)
        return values, gradient

    def judged_ascent(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor, Tensor]:
        """Return what ``ascent`` returns, and whether each image reaches the goal, bool (batch,).

        One pass answers both.

        Raises: as ``ascent``.
        """
        values, gradient, logits = self._ascent(model, images)
        return values, gradient, self._is_reached(logits)

    def _ascent(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor, Logits]:
        keep_freed_memory()
        with torch.inference_mode(False), torch.enable_grad():
            images = _recordable(images).requires_grad_()
            logits = model(images)
            values = self._values(logits)
            if not values.requires_grad:
                raise ModelError("expected logits differentiable in the images, got constants")
            # A vector of ones instead of a sum: no overflow in half precision.
            (gradient,) = torch.autograd.grad(
                values, images, torch.ones_like(values), allow_unused=True
            )
        if gradient is None:
            raise ModelError("expected logits that depend on the images, got constants")
        return values.detach(), gradient, logits.detach()

    def judge(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor]:
        """Return ``J`` (batch,) and whether each example reaches the goal, bool (batch,).

        Raises: as ``ascent``.
        """
        with torch.no_grad():
            logits = model(images)
            values = self._values(logits)
        return values, self._is_reached(logits)

    def _is_reached(self, logits: Logits) -> Tensor:
        predictions = logits.argmax(dim=1)
        return predictions != self.labels if self.targets is None else predictions == self.targets

    def _values(self, logits: Logits) -> Tensor:
        check_logits(logits, len(self.labels))
        if self._highest >= logits.shape[1]:
            raise LabelError(
                f"expected labels from 0 to {logits.shape[1] - 1}, got {self._highest}"
            )
        check_classes(self.loss, logits.shape[1], is_targeted=self.targets is not None)
        labels, loss = _recordable(self.labels), LOSSES[self.loss]
        if self.targets is None:
            return loss.away(logits, labels)
        return loss.towards(logits, labels, _recordable(self.targets))


def _recordable(tensor: Tensor) -> Tensor:
    # Autograd refuses tensors made under torch.inference_mode, but takes copies of them.
    return tensor.clone() if tensor.is_inference() else tensor.detach()

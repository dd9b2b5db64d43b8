"""What an attack climbs: a loss that leads away from the labels, or towards targets."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.input_gradient import input_gradient
from steadygrad.attacks.losses import LOSSES, Loss, check_classes, check_loss
from steadygrad.checks import check_logits
from steadygrad.errors import LabelError
from steadygrad.memory import keep_freed_memory
from steadygrad.model_answer import answer

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
        values, gradient, _ = self.look(model, images)
        return values, gradient

    def look(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor, Logits]:
        """Return ``J``, its gradient, and the logits (batch, classes), from one pass.

        Raises: as ``ascent``.
        """
        keep_freed_memory()
        with torch.inference_mode(False), torch.enable_grad():
            images = _recordable(images).requires_grad_()
            logits = answer(model, images)
            values = self._values(logits)
            gradient = input_gradient(values, images)
        return values.detach(), gradient, logits.detach()

    def judge(self, model: Classifier, images: Images) -> tuple[Tensor, Tensor]:
        """Return ``J`` (batch,) and whether each example reaches the goal, bool (batch,).

        Raises: as ``ascent``.
        """
        with torch.no_grad():
            return self.weigh(answer(model, images))

    def weigh(self, logits: Logits) -> tuple[Tensor, Tensor]:
        """Return what ``judge`` does, of logits that are there already.

        Raises: as ``ascent``.
        """
        values = self._values(logits)
        predictions = logits.argmax(dim=1)
        if self.targets is None:
            return values, predictions != self.labels
        return values, predictions == self.targets

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

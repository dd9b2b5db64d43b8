"""The losses of single images that a penalty differentiates, and what they take as labels."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_labels, check_logits, check_target_values
from steadygrad.errors import HyperparameterError, LabelError, ModelError
from steadygrad.logits import logits_of
from steadygrad.model_answer import answer
from steadygrad.penalties.part import ExampleLoss, loss

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "checked_loss", "example_losses", "logits_of"]


@loss("cross-entropy", title="Cross-entropy")
@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """``-sum_k q_k log softmax(z)_k`` of each image, in nats.

    Labels: int64 (batch,), class indices; or floating (batch, classes), probabilities ``q`` (mixup,
    distillation).

    Args:
        smoothing: share of the label spread evenly over all classes, in [0, 1).
        class_weights: multiplies the terms of each class, one positive number a class. The mean
            over a batch is over its images, not over their weights: it does not depend on how
            images are distributed over batches or processes.

    Raises:
        HyperparameterError: a number is outside its range.
    """

    smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise HyperparameterError(f"expected smoothing in [0, 1), got {self.smoothing}")
        for weight in self.class_weights or ():
            if not (weight > 0 and math.isfinite(weight)):
                raise HyperparameterError(f"expected class_weights > 0, got {weight}")

    def __call__(self, logits: Logits, labels: Tensor) -> Tensor:
        """Return one loss an image, (batch,)."""
        classes = logits.shape[1]
        if classes == 1:
            raise ModelError(
                "expected logits of 2 or more classes for the cross-entropy, got one; let the "
                "model return torch.cat((torch.zeros_like(z), z), dim=1) in place of its logit z, "
                "which are two classes with the same probabilities, or call a penalty with "
                "loss=BinaryCrossEntropy() in a training loop of your own"
            )
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ModelError(
                f"expected logits of {len(self.class_weights)} classes, as there are "
                f"class_weights, got {classes}"
            )
        if labels.is_floating_point():
            if labels.shape != logits.shape:
                raise LabelError(
                    "expected int64 class indices as labels, or probabilities of shape "
                    f"{tuple(logits.shape)}, got {labels.dtype} of shape {tuple(labels.shape)}"
                )
            labels = labels.to(logits.dtype)
        weight = None
        if self.class_weights is not None:
            weight = _weights(self.class_weights, logits.dtype, logits.device)
        return cross_entropy(
            logits, labels, weight=weight, reduction="none", label_smoothing=self.smoothing
        )


@loss("binary-cross-entropy", title="Binary cross-entropy")
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy:
    """``-q log s(z) - (1 - q) log(1 - s(z))`` of each image's one logit, s the logistic function.

    Logits: (batch, 1). Labels: int64 (batch,), 0 or 1; or floating (batch,) or (batch, 1),
    probabilities of class 1.
    """

    def __call__(self, logits: Logits, labels: Tensor) -> Tensor:
        """Return one loss an image, (batch,)."""
        if logits.shape[1] != 1:
            raise ModelError(
                "expected one logit an image for the binary cross-entropy, "
                f"got {logits.shape[1]}; choose loss CrossEntropy()"
            )
        single = logits.squeeze(1)
        targets = labels.squeeze(1) if labels.shape == logits.shape else labels
        if targets.shape != single.shape:
            raise LabelError(
                f"expected labels of shape ({len(single)},), got {tuple(labels.shape)}"
            )
        return binary_cross_entropy_with_logits(single, targets.to(single.dtype), reduction="none")


def checked_loss(loss: ExampleLoss | None) -> ExampleLoss:
    """Return the loss, the cross-entropy for None; refuse torch's that average over the batch.

    Raises:
        HyperparameterError: it is no callable, or a torch loss with another reduction than "none".
    """
    if loss is None:
        return CrossEntropy()
    reduction = getattr(loss, "reduction", "none")
    if reduction != "none":
        raise HyperparameterError(
            f"expected a loss of each image, got {type(loss).__name__} with reduction "
            f'{reduction!r}; write {type(loss).__name__}(reduction="none")'
        )
    if not callable(loss):
        raise HyperparameterError(
            f"expected a callable from logits and labels to losses, got {loss!r}"
        )
    return loss


def example_losses(
    model: Classifier, images: Images, labels: Labels, loss: ExampleLoss | None = None
) -> tuple[Tensor, Logits]:
    """Return each example's loss, shape (batch,), in at least float32, and the logits.

    Args:
        model: returns logits, or a dict, a dataclass or a transformers output with ``logits``, or a
            tuple that begins with them; (batch,) counts as one logit an image.
        labels: what ``loss`` takes, one row an image.
        loss: None is the cross-entropy.

    Raises:
        ModelError: the model does not return one row of logits per image, or the loss does not
            return one number per image.
        LabelError: a label names a class that the logits do not have, or a probability is none.
    """
    logits = logits_of(answer(model, images))
    check_logits(logits, len(images))
    classes = max(logits.shape[1], 2)  # a single logit tells two classes apart
    if isinstance(labels, Tensor) and labels.is_floating_point():
        check_target_values(labels, len(images), wait=False)
    else:
        check_labels(labels, len(images), classes, wait=False)
        if labels.is_cuda:
            # A label beyond the classes is refused at a later call; until then it must not stop
            # the device, after which nothing in the process could use it.
            labels = labels.clamp(0, classes - 1)
    wide = logits.float() if logits.itemsize < 4 else logits
    losses = (CrossEntropy() if loss is None else loss)(wide, labels)
    if not isinstance(losses, Tensor) or losses.shape != (len(images),):
        came = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise ModelError(
            f"expected a loss for each image, shape ({len(images)},), got {came}; do not average "
            'in the loss (reduction="none")'
        )
    return losses, logits


@lru_cache(maxsize=16)
def _weights(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    # Kept: a copy to an accelerator at every step would make it wait.
    with torch.inference_mode(False):
        return torch.tensor(weights, dtype=dtype, device=device)

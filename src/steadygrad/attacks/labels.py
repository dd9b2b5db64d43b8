"""Whose class an attack starts from or aims at: predictions, and targets drawn or ranked."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_labels, check_logits
from steadygrad.draws import integers
from steadygrad.errors import ModelError
from steadygrad.model_answer import answer, first_answer

__all__ = ["first_logits", "predicted_labels", "random_targets", "wrong_classes"]


@torch.no_grad()
def first_logits(model: Classifier, images: Images) -> Logits:
    """Return the logits of what may be a model's first pass, without a graph."""
    logits = first_answer(model, images)
    check_logits(logits, len(images))
    return logits


def predicted_labels(model: Classifier, images: Images) -> Labels:
    """Return the class of the largest logit, int64 (batch,)."""
    return first_logits(model, images).argmax(dim=1)


def random_targets(
    model: Classifier, images: Images, labels: Labels, generator: torch.Generator | None
) -> Labels:
    """Draw a class for each example uniformly from those that are not its label, int64 (batch,).

    Raises: ModelError, if there is only one class; LabelError, if a label is none of them.
    """
    classes = _class_count(model, images[:1])
    check_labels(labels, len(images), classes)
    shift = integers(1, classes, labels.shape, generator, device=labels.device)
    return (labels + shift) % classes


@torch.no_grad()
def wrong_classes(model: Classifier, images: Images, labels: Labels) -> Tensor:
    """Return the classes other than each label by falling logit, int64 (batch, classes - 1).

    Raises: ModelError, if there is only one class; LabelError, if a label is none of them.
    """
    logits = answer(model, images)
    check_logits(logits, len(images))
    _check_several(logits.shape[1])
    check_labels(labels, len(images), logits.shape[1])
    label_first = logits.scatter(1, labels.unsqueeze(1), torch.inf)
    ranked: Tensor = label_first.argsort(dim=1, descending=True)
    return ranked[:, 1:]


@torch.no_grad()
def _class_count(model: Classifier, images: Images) -> int:
    logits = answer(model, images)
    check_logits(logits, len(images))
    _check_several(logits.shape[1])
    return int(logits.shape[1])


def _check_several(classes: int) -> None:
    if classes < 2:
        raise ModelError(f"expected a model of at least 2 classes to aim at, got {classes}")

"""Whose class an attack starts from or aims at: predictions and random targets."""

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_logits
from steadygrad.errors import ModelError

__all__ = ["predicted_labels", "random_targets"]


@torch.no_grad()
def predicted_labels(model: Classifier, images: Images) -> Labels:
    """Return the class of the largest logit, int64 (batch,)."""
    logits = model(images)
    check_logits(logits, len(images))
    return logits.argmax(dim=1)


def random_targets(labels: Labels, classes: int, generator: torch.Generator | None) -> Labels:
    """Draw a class for each example uniformly from the ``classes - 1`` that are not its label.

    Raises: ModelError, if there is only one class.
    """
    if classes < 2:
        raise ModelError(f"expected a model of at least 2 classes to aim at, got {classes}")
    device = labels.device if generator is None else generator.device
    shift = torch.randint(1, classes, labels.shape, generator=generator, device=device)
    return (labels + shift.to(labels.device)) % classes

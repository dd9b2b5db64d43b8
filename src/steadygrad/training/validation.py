"""Loss and accuracy on clean images, between epochs."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.training.given_data import TrainingImages, epoch_batches

__all__ = ["Performance", "clean_performance"]


@dataclass(frozen=True)
class Performance:
    """Mean cross-entropy in nats, and the fraction of images that are right."""

    loss: float
    accuracy: float


@torch.no_grad()
def clean_performance(
    model: nn.Module, dataset: TrainingImages, batch_size: int = 512
) -> Performance:
    """Return how ``model`` in eval mode does on ``dataset``, which lies on its device.

    Every module gets its mode back.
    """
    correct = torch.zeros((), dtype=torch.int64, device=dataset.device)
    loss = torch.zeros((), dtype=torch.float64, device=dataset.device)
    count = 0
    with evaluation_mode(model):
        for images, labels in epoch_batches(dataset, batch_size, seed=None):
            logits = model(images)
            correct += (logits.argmax(dim=1) == labels).sum()
            count += len(labels)
            loss += cross_entropy(logits, labels, reduction="sum").double()
    return Performance(float(loss) / count, int(correct) / count)

"""Clean accuracy on a validation split."""

import torch
from torch import nn

from steadygrad.datasets import ImageDataset, batches
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["validation_accuracy"]


@torch.no_grad()
def validation_accuracy(model: nn.Module, dataset: ImageDataset, batch_size: int = 512) -> float:
    """Return the fraction of ``dataset`` that ``model`` gets right in eval mode.

    Every module gets its mode back. ``dataset`` lies on the model's device.
    """
    correct = torch.zeros((), dtype=torch.int64, device=dataset.device)
    with evaluation_mode(model):
        for images, labels in batches(dataset, batch_size, shuffle_seed=None):
            correct += (model(images).argmax(dim=1) == labels).sum()
    return int(correct) / len(dataset)

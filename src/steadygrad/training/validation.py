"""Loss and accuracy on clean images, between epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.distributed import current_ranks, sum_over_ranks
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.training.given_data import TrainingImages, epoch_batches

__all__ = ["OwnPerformance", "Performance", "own_performance"]


@dataclass(frozen=True)
class Performance:
    """Mean cross-entropy in nats, and the fraction of images that are right."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class OwnPerformance:
    """What one of several processes found on the batches that it takes.

    sums: (batches, 2) of loss and correct images; 0 for batches of the others. images: of all.
    """

    sums: Tensor
    images: int

    def of_all_ranks(self) -> Performance:
        """Return the numbers that one process would have found; all processes call this."""
        # One after the other: the order, and so the last bit, is that of one process.
        loss_sum = correct_sum = 0.0
        for loss_of_batch, correct_of_batch in sum_over_ranks(self.sums).tolist():
            loss_sum, correct_sum = loss_sum + loss_of_batch, correct_sum + correct_of_batch
        return Performance(loss_sum / self.images, int(correct_sum) / self.images)


@torch.no_grad()
def own_performance(
    model: nn.Module, dataset: TrainingImages, batch_size: int = 512
) -> OwnPerformance:
    """Return how ``model`` in eval mode does on ``dataset``, which lies on its device.

    Every module gets its mode back. Of several processes, each takes some of the batches; nothing
    is exchanged.
    """
    ranks, count = current_ranks(), 0
    sums: list[Tensor] = []
    with evaluation_mode(model):
        for index, (images, labels) in enumerate(epoch_batches(dataset, batch_size, seed=None)):
            count += len(labels)
            if index % ranks.count != ranks.rank:
                sums.append(torch.zeros(2, dtype=torch.float64, device=dataset.device))
                continue
            logits = model(images)
            correct = (logits.argmax(dim=1) == labels).sum()
            loss = cross_entropy(logits, labels, reduction="sum")
            sums.append(torch.stack((loss.double(), correct.double())))
    return OwnPerformance(torch.stack(sums), count)

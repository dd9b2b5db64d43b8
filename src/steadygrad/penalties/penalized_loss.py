"""What a penalty returns, and the per-example loss that all of them differentiate."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_labels
from steadygrad.errors import ModelError

__all__ = ["PenalizedLoss", "example_losses"]


@dataclass(frozen=True)
class PenalizedLoss:
    """A training loss and its two terms; all but ``logits`` are scalars with a graph.

    loss: what to call ``backward()`` on; ``data_loss + penalty``.
    data_loss: mean cross-entropy, in nats.
    penalty: mean penalty, already multiplied by its strength; at least 0.
    logits: (batch, classes), of the same forward pass as ``data_loss``.
    """

    loss: Tensor
    data_loss: Tensor
    penalty: Tensor
    logits: Logits


def example_losses(model: Classifier, images: Images, labels: Labels) -> tuple[Tensor, Logits]:
    """Return each example's cross-entropy, shape (batch,), in at least float32, and the logits.

    Raises: ModelError, if the model does not return one row of logits per image;
        LabelError, if a label names a class that the logits do not have.
    """
    logits = model(images)
    if logits.ndim != 2 or len(logits) != len(images):
        raise ModelError(
            f"expected logits of shape ({len(images)}, classes), got {tuple(logits.shape)}"
        )
    check_labels(labels, len(images), classes=logits.shape[1], wait=False)
    if labels.is_cuda:
        # A label beyond the classes is refused at a later call; until then it must not stop the
        # device, after which nothing in the process could use it.
        labels = labels.clamp(0, logits.shape[1] - 1)
    wide = logits.float() if logits.itemsize < 4 else logits
    return cross_entropy(wide, labels, reduction="none"), logits

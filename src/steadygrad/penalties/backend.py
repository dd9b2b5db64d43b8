"""The interface behind which penalties are differentiated in interchangeable ways."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.penalties.norms import GradientNorm

__all__ = ["Backend", "PenaltyTerms"]


@dataclass(frozen=True)
class PenaltyTerms:
    """Per-example terms of one batch.

    losses: cross-entropy, shape (batch,).
    squared_norms: ``N(g_i)^2``, shape (batch,): its value is exact, and its derivative by the
        parameters is that of the squared norm, or the backend's approximation of it.
    logits: (batch, classes).
    """

    losses: Tensor
    squared_norms: Tensor
    logits: Logits


class Backend(Protocol):
    """A way to compute a squared input-gradient norm that ``backward()`` can go through."""

    def __call__(
        self, model: Classifier, images: Images, labels: Labels, norm: GradientNorm
    ) -> PenaltyTerms:
        """Return the terms for one batch; each ``g_i`` is example i's own input gradient."""
        ...

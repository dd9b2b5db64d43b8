"""The squared norm of each example's input gradient, added to the cross-entropy."""

import math
from dataclasses import dataclass

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_images
from steadygrad.errors import HyperparameterError
from steadygrad.penalties.backend import Backend
from steadygrad.penalties.backends import BackendName, resolve_backend
from steadygrad.penalties.norms import NormName, norm_by_name
from steadygrad.penalties.penalized_loss import PenalizedLoss, example_losses

__all__ = ["SquaredNormPenalty"]


@dataclass(frozen=True, kw_only=True)
class SquaredNormPenalty:
    """Add ``strength * mean_i N(g_i)^2`` to the mean cross-entropy of a batch.

    ``g_i`` is example i's own input gradient, in nats per pixel unit: the penalty does not
    change with the batch size, with gradient accumulation, or across ranks.

    strength: at least 0; 0 gives the plain loss to the bit. The beta of Yeats et al. (2021)
        belongs to the gradient of a batch *mean*: ``strength = beta / batch_size**2``, so their
        beta = 512 at batch size 64 is 0.125.
    norm: "l1" (squared L1, their choice; the dual of an L-infinity attack), "l2" or "linf".
    backend: "double_backprop" (exact), "finite_difference", or a backend object such as
        ``FiniteDifference(step_size=0.02, order=2)``.
    Raises: HyperparameterError, if the strength is negative or not finite; UnknownNameError, if
        there is no such norm or backend.
    Source: Yeats, Chen & Li, ICML 2021, Eq. (3).
    """

    strength: float
    norm: NormName = "l1"
    backend: BackendName | Backend = "double_backprop"

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise HyperparameterError(f"expected strength >= 0, got {self.strength}")
        norm_by_name(self.norm)
        resolve_backend(self.backend)

    def __call__(self, model: Classifier, images: Images, labels: Labels) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        images: (batch, channels, height, width) in [0, 1]; labels: int64 (batch,).
        Raises: ImageError, LabelError or ModelError, if one of them does not fit.
        """
        check_images(images, wait=False)
        if self.strength == 0:
            losses, logits = example_losses(model, images, labels)
            data_loss = losses.mean()
            return PenalizedLoss(data_loss, data_loss, data_loss.new_zeros(()), logits)
        backend, norm = resolve_backend(self.backend), norm_by_name(self.norm)
        terms = backend(model, images, labels, norm)
        data_loss = terms.losses.mean()
        penalty = self.strength * terms.squared_norms.mean()
        return PenalizedLoss(data_loss + penalty, data_loss, penalty, terms.logits)

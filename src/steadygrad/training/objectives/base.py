"""What the training loop minimises: a callable that turns a batch into a loss and its parts."""

from typing import Protocol

import torch
from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.penalties import PenalizedLoss

__all__ = ["Objective", "Penalty"]


class Penalty(Protocol):
    """Cross-entropy plus a penalty, as in ``steadygrad.penalties``.

    A penalty that learns while it trains (a running covariance) also has ``state_dict()`` and
    ``load_state_dict(state)``, of tensors and plain values: checkpoints then carry its state.
    """

    def __call__(self, model: nn.Module, images: Images, labels: Labels, /) -> PenalizedLoss: ...


class Objective(Protocol):
    """A batch to ``loss = data_loss + penalty`` (batch means, in nats) and the logits behind it.

    The loop calls ``result.loss.backward()``. ``generator`` feeds whatever the objective draws.
    """

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss: ...

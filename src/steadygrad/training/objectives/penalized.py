"""Cross-entropy with a penalty on the input gradient."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.penalties import PenalizedLoss
from steadygrad.training.objectives.base import Penalty

__all__ = ["Penalized"]


@dataclass(frozen=True)
class Penalized:
    """Let ``penalty`` compute the loss; carry its state, if it has one, into checkpoints."""

    penalty: Penalty

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002 - penalties draw nothing
    ) -> PenalizedLoss:
        return self.penalty(model, images, labels)

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's state; empty for one that keeps none."""
        state: dict[str, Any] = getattr(self.penalty, "state_dict", dict)()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the penalty back its state."""
        if state:
            self.penalty.load_state_dict(state)  # type: ignore[attr-defined] # see Penalty

"""Adversarial training: some or all images of each batch are attacked before the step."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.penalties import PenalizedLoss
from steadygrad.training.objectives.base import Objective
from steadygrad.training.objectives.cross_entropy import CrossEntropy

__all__ = ["Adversarial", "TrainingAttack"]


class TrainingAttack(Protocol):
    """Any attack of ``steadygrad.attacks``."""

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> Images: ...


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """Apply ``objective`` to a batch of which ``fraction`` has been attacked.

    fraction: share of each batch that is attacked, in (0, 1]; 0.5 is half clean, half adversarial.
        The first ``round(fraction * batch)`` images are taken, half rounding up; the order of a
        shuffled batch is random already, so no draw is spent on choosing.
    attack_from: "true" attacks away from the true label; "predicted" from the model's own
        prediction (Roth et al., arXiv:1805.08736), which cannot leak the label into the image.
        The loss always uses the true labels.

    Examples are crafted with the model in eval mode, then every module gets its mode back. Yeats et
    al.'s code crafts in training mode: there each attack step also moves BatchNorm's running
    statistics, and dropout attacks a different network every step.
    """

    attack: TrainingAttack
    objective: Objective = field(default_factory=CrossEntropy)
    fraction: float = 1.0
    attack_from: Literal["true", "predicted"] = "true"

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise HyperparameterError(f"expected a fraction in (0, 1], got {self.fraction}")
        if self.attack_from not in ("true", "predicted"):
            raise HyperparameterError(
                f"expected attack_from 'true' or 'predicted', got {self.attack_from!r}"
            )

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        attacked = int(self.fraction * len(images) + 0.5)
        if attacked:
            adversarial = self._craft(model, images[:attacked], labels[:attacked], generator)
            images = torch.cat((adversarial, images[attacked:]))
        return self.objective(model, images, labels, generator=generator)

    def _craft(
        self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator | None
    ) -> Images:
        with evaluation_mode(model):
            if self.attack_from == "predicted":
                with torch.no_grad():
                    labels = model(images).argmax(dim=1)
            return self.attack(model, images, labels, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the inner objective's state."""
        state: dict[str, Any] = getattr(self.objective, "state_dict", dict)()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the inner objective back its state."""
        if state:
            self.objective.load_state_dict(state)  # type: ignore[attr-defined] # mirrors state_dict

"""What a step minimises: the loss at a batch, attacked if asked, and the penalty let in so far."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.attacks import about_attack
from steadygrad.checks import check_kind
from steadygrad.covariance import DataFacts, prepared
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.penalties import PENALTIES, PenalizedLoss, example_losses
from steadygrad.penalties.model_passes import couples_images
from steadygrad.penalties.penalized import penalised_count
from steadygrad.training.config import TrainingConfig
from steadygrad.training.given_data import LoaderImages, TrainingImages

__all__ = ["Objective", "data_facts"]


class Objective:
    """The loss of a configuration, ready for a training set.

    penalty, attack: the configuration's, prepared for the images; None where there is none. A
        penalty that learns while it trains (a running covariance) has ``state_dict()`` and
        ``load_state_dict(state)``, of tensors and plain values, which checkpoints carry.
    """

    def __init__(self, config: TrainingConfig, facts: DataFacts) -> None:
        self.config = config
        self.penalty = None if config.penalty is None else prepared(config.penalty, facts)
        self.attack, self._attacker = None, ""
        if config.attack is not None:
            self.attack = prepared(config.attack, facts)
            self._attacker = f"the attack {about_attack(config.attack).title}"

    def __call__(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        *,
        share: float | Tensor | None = 1.0,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        """Return ``loss = data_loss + penalty``, batch means in nats, and the logits behind it.

        Args:
            model: in training mode; an attack meets it in eval mode, so that no running statistics
                move and dropout is off.
            images: augmented, on the model's device.
            labels: int64 (batch,); without an attack also what the loss takes.
            share: by how much the penalty counts, at least 0; a scalar tensor is not read. None
                leaves the penalty out.
            generator: feeds the attack.
        """
        if self.attack is not None:
            with evaluation_mode(model):
                attacked = self.attack(model, images, labels, generator=generator)
            check_kind(self._attacker, attacked, images)
            images = attacked
        if self.penalty is None or share is None:
            losses, logits = example_losses(model, images, labels, self.config.loss)
            loss = losses.mean()
            return PenalizedLoss(loss, loss, loss.new_zeros(()), logits)
        result: PenalizedLoss = self.penalty(model, images, labels, loss=self.config.loss)
        _refuse_other_results(result, self.config)
        if not isinstance(share, Tensor) and share == 1:
            return result
        penalty = share * result.penalty
        return PenalizedLoss(result.data_loss + penalty, result.data_loss, penalty, result.logits)

    def penalised_apart(self, model: nn.Module, batch: int) -> int | None:
        """Return how many images of a batch go through batch norms by themselves; None if none."""
        fraction: float = getattr(self.penalty, "fraction", 1.0)
        if fraction == 1 or not couples_images(model):
            return None
        return penalised_count(model, fraction, batch)

    def state_dict(self) -> dict[str, Any]:
        """Return the penalty's state; empty for one that keeps none."""
        state: dict[str, Any] = getattr(self.penalty, "state_dict", dict)()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give the penalty back its state."""
        if state and self.penalty is not None:
            self.penalty.load_state_dict(state)


def _refuse_other_results(result: object, config: TrainingConfig) -> None:
    """Raise HyperparameterError for what a penalty of another package must not return."""
    if not isinstance(result, PenalizedLoss):
        wanted, got = "a PenalizedLoss", type(result).__name__
    elif not (isinstance(result.loss, Tensor) and result.loss.requires_grad):
        wanted, got = "a loss with a graph that reaches the parameters", "one without"
    else:
        return
    penalty = PENALTIES.text(config.penalty)
    raise HyperparameterError(f"expected the penalty {penalty} to return {wanted}, got {got}")


def data_facts(train: TrainingImages) -> DataFacts:
    """Return what parts may ask of a training set."""
    channels, height, width = train.input_shape

    def images() -> Iterator[Images]:
        if isinstance(train, LoaderImages):
            return (batch for batch, _ in train.batches(0))
        return iter(torch.split(train.pixels, 1000))

    return DataFacts((channels, height, width), images)

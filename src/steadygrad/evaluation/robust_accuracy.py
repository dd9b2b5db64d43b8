"""Accuracy under attack that is fed batch by batch, with the interface of torchmetrics."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack
from steadygrad.attacks.results import check_result
from steadygrad.checks import check_images, check_labels
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import predictions
from steadygrad.evaluation.curve import AccuracyPoint
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = ["RobustAccuracy"]


class RobustAccuracy:
    """Count images that a model classifies correctly whichever of the attacks is tried.

    ``update`` feeds a batch, ``compute`` returns the accuracy so far, ``reset`` begins again; a
    call does an ``update`` and returns the accuracy of that batch. The model is in eval mode
    meanwhile. Equal batches in equal order meet equal random draws.

    Args:
        model: images to logits.
        attacks: one or several, at their own eps.
        seed: of the attacks' random draws.

    Raises:
        HyperparameterError: there is no attack.
    """

    def __init__(
        self, model: Classifier, attacks: Attack | Sequence[Attack], *, seed: int = 0
    ) -> None:
        self.model, self.seed = model, seed
        self.attacks = tuple(attacks) if isinstance(attacks, Sequence) else (attacks,)
        if not self.attacks:
            raise HyperparameterError("expected at least one attack, got none")
        self.reset()

    def reset(self) -> None:
        """Forget every batch."""
        self.correct = self.total = self.batches = 0

    def update(self, images: Images, labels: Labels) -> None:
        """Attack a batch and count what stays correct.

        Args:
            images: (batch, channels, height, width) in [0, 1], on the model's device.
            labels: int64 (batch,).

        Raises:
            ImageError, LabelError, ModelError: they do not fit.
        """
        self._count(images, labels)

    def compute(self) -> Tensor:
        """Return the accuracy under attack so far, float64 in [0, 1]; NaN before any batch."""
        share = self.correct / self.total if self.total else torch.nan
        return torch.tensor(share, dtype=torch.float64, device="cpu")

    def point(self, eps: float = 0.0) -> AccuracyPoint:
        """Return the count so far as a point of a curve, with its 95 % interval."""
        return AccuracyPoint(eps=eps, correct=self.correct, n=self.total)

    def __call__(self, images: Images, labels: Labels) -> Tensor:
        """Return the accuracy of this batch, float64; it also counts towards ``compute``."""
        correct = self._count(images, labels)
        return torch.tensor(correct / len(labels), dtype=torch.float64, device="cpu")

    def _count(self, images: Images, labels: Labels) -> int:
        check_images(images)
        check_labels(labels, len(images))
        expected = labels.cpu()
        with evaluation_mode(self.model):
            standing = predictions(self.model, images) == expected
            for number, attack in enumerate(self.attacks):
                rows = standing.nonzero().squeeze(1)
                if len(rows) == 0:
                    break
                chosen = images[rows.to(images.device)]
                targets = labels[rows.to(labels.device)]
                draws = derived_generator(self.seed, f"batch {self.batches}, attack {number}")
                adversarial = attack(self.model, chosen, targets, generator=draws)
                check_result(attack, adversarial, chosen)
                standing[rows] = predictions(self.model, adversarial) == expected[rows]
        self.batches += 1
        self.correct += (correct := int(standing.sum()))
        self.total += len(labels)
        return correct

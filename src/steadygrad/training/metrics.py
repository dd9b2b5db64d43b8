"""What is measured over an epoch, and its running sums."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from steadygrad.training.validation import Performance

__all__ = ["EpochMetrics", "EpochTotals", "StepMetrics"]


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One line of metrics.jsonl.

    epoch: counted from 1; steps, images: of this epoch; seconds: wall time, without validation.
    loss, data_loss, penalty: means over the epoch's images, in nats, as the steps saw them.
    train_accuracy: fraction right among the images trained on (augmented, attacked), as they were
        met.
    validation_loss (nats), validation_accuracy, test_loss, test_accuracy: after the epoch, on clean
        images, of the averaged network where the run averages weights; None where the run has no
        such set. raw_validation_loss, raw_validation_accuracy: then, of the raw weights.
    update_similarity: mean over the steps where it is defined, None if not asked for.
    """

    epoch: int
    steps: int
    learning_rate: float
    loss: float
    data_loss: float
    penalty: float
    train_accuracy: float
    validation_accuracy: float | None = None
    update_similarity: float | None = None
    seconds: float
    images: int
    validation_loss: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    raw_validation_loss: float | None = None
    raw_validation_accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the line's fields."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """One step: batch means, the number of images and how many were classified right."""

    loss: float
    data_loss: float
    penalty: float
    correct: int
    images: int
    update_similarity: float = math.nan

    @property
    def is_finite(self) -> bool:
        """Whether loss and both terms are numbers to go on with."""
        return all(map(math.isfinite, (self.loss, self.data_loss, self.penalty)))


@dataclass
class EpochTotals:
    """Sums over the steps of an epoch so far; plain numbers, so that a checkpoint can hold them."""

    steps: int = 0
    images: int = 0
    correct: int = 0
    loss: float = 0.0
    data_loss: float = 0.0
    penalty: float = 0.0
    similarity: float = 0.0
    similarity_steps: int = 0
    seconds: float = 0.0

    def add(self, steps: Sequence[StepMetrics]) -> None:
        """Count steps; an image counts once whatever the size of its batch."""
        for step in steps:
            self.steps += 1
            self.images += step.images
            self.correct += step.correct
            self.loss += step.loss * step.images
            self.data_loss += step.data_loss * step.images
            self.penalty += step.penalty * step.images
            if math.isfinite(step.update_similarity):
                self.similarity += step.update_similarity
                self.similarity_steps += 1

    def metrics(
        self,
        *,
        epoch: int,
        learning_rate: float,
        validation: Performance | None = None,
        test: Performance | None = None,
        raw_validation: Performance | None = None,
    ) -> EpochMetrics:
        """Return the epoch's means."""
        return EpochMetrics(
            epoch=epoch,
            steps=self.steps,
            learning_rate=learning_rate,
            loss=self.loss / self.images,
            data_loss=self.data_loss / self.images,
            penalty=self.penalty / self.images,
            train_accuracy=self.correct / self.images,
            validation_accuracy=None if validation is None else validation.accuracy,
            validation_loss=None if validation is None else validation.loss,
            test_accuracy=None if test is None else test.accuracy,
            test_loss=None if test is None else test.loss,
            raw_validation_accuracy=None if raw_validation is None else raw_validation.accuracy,
            raw_validation_loss=None if raw_validation is None else raw_validation.loss,
            update_similarity=(
                self.similarity / self.similarity_steps if self.similarity_steps else None
            ),
            seconds=round(self.seconds, 3),
            images=self.images,
        )

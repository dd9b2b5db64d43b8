"""Laws of steadygrad.training.metrics."""

import math

import pytest

from steadygrad.training import StepMetrics
from steadygrad.training.metrics import EpochTotals
from steadygrad.training.validation import Performance


def step(images: int, similarity: float = math.nan) -> StepMetrics:
    return StepMetrics(
        loss=3.0 * images,
        data_loss=2.0 * images,
        penalty=1.0 * images,
        correct=1,
        images=images,
        update_similarity=similarity,
    )


def test_means_are_over_images_and_similarity_over_the_steps_that_have_one() -> None:
    totals = EpochTotals()
    totals.add([step(4, 0.5), step(4)])
    totals.add([step(2, 1.0)])
    metrics = totals.metrics(epoch=1, learning_rate=0.1, validation=Performance(0.5, 0.8))
    assert (metrics.steps, metrics.images) == (3, 10)
    assert metrics.loss == pytest.approx(3 * (16 + 16 + 4) / 10)
    assert metrics.loss == pytest.approx(metrics.data_loss + metrics.penalty)
    assert metrics.train_accuracy == pytest.approx(0.3)
    assert metrics.update_similarity == pytest.approx(0.75)
    assert (metrics.validation_loss, metrics.validation_accuracy) == (0.5, 0.8)
    assert metrics.test_loss is metrics.test_accuracy is None


@pytest.mark.parametrize("term", ["loss", "data_loss", "penalty"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_any_non_finite_term_counts(term: str, value: float) -> None:
    terms = {"loss": 1.0, "data_loss": 1.0, "penalty": 0.0}
    assert StepMetrics(**terms, correct=0, images=1).is_finite
    assert not StepMetrics(**(terms | {term: value}), correct=0, images=1).is_finite

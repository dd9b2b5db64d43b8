"""Predictions in batches."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ImageError, LabelError, ModelError
from steadygrad.evaluation import accuracy, predictions

IMAGES = torch.rand(10, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def brightest(images: Tensor) -> Tensor:
    return images.flatten(1)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
def test_batches_change_nothing(batch_size: int) -> None:
    expected = IMAGES.flatten(1).argmax(dim=1)
    assert torch.equal(predictions(brightest, IMAGES, batch_size=batch_size), expected)


def test_accuracy_counts_what_is_right() -> None:
    labels = IMAGES.flatten(1).argmax(dim=1)
    labels[:3] = (labels[:3] + 1) % 4
    assert accuracy(brightest, IMAGES, labels, batch_size=4) == 0.7


def test_dropout_sleeps_and_wakes_again() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9))
    assert accuracy(model, IMAGES, IMAGES.flatten(1).argmax(dim=1)) == 1.0
    assert model[1].training


def test_refusals() -> None:
    labels = torch.zeros(10, dtype=torch.int64)
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        predictions(brightest, IMAGES, batch_size=0)
    with pytest.raises(ImageError, match=r"torch\.uint8"):
        predictions(brightest, (IMAGES * 255).byte())
    with pytest.raises(LabelError, match="from 0 to 3, got 4"):
        accuracy(brightest, IMAGES, labels + 4)
    with pytest.raises(ModelError, match=r"logits of shape \(10, classes\)"):
        predictions(lambda images: images, IMAGES)
    with pytest.raises(ModelError, match="finite logits"):
        predictions(lambda images: brightest(images) / 0, IMAGES)

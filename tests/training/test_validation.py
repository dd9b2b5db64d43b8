"""Laws of steadygrad.training.validation."""

import pytest
import torch
from torch import nn

from steadygrad.datasets import ImageDataset
from steadygrad.training.validation import own_performance


def test_every_image_counts_once_in_eval_mode_and_the_mode_comes_back() -> None:
    pixels = torch.zeros(7, 1, 1, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    pixels[torch.arange(7), 0, 0, torch.tensor([0, 1, 2, 1, 1, 2, 1])] = 1  # five are right
    data = ImageDataset("made", "validation", pixels, labels, ("a", "b", "c"))
    model = nn.Sequential(nn.Flatten(), nn.Dropout(1.0)).train()
    performance = own_performance(model, data, batch_size=3).of_all_ranks()
    assert performance.accuracy == pytest.approx(5 / 7)
    logits = pixels.flatten(1)
    expected = nn.functional.cross_entropy(logits, labels).item()
    assert performance.loss == pytest.approx(expected)
    assert all(module.training for module in model.modules())

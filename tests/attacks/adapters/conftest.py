"""Digits to attack, and a classifier whose nearest boundary is known."""

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def few(held_out: tuple[Tensor, Tensor], trained: nn.Module) -> tuple[Tensor, Tensor]:
    """Digits that the trained network classifies correctly."""
    images, labels = held_out
    with torch.no_grad():
        is_right = trained(images).argmax(dim=1) == labels
    return images[is_right][:16], labels[is_right][:16]


@pytest.fixture
def halves() -> nn.Module:
    """Class 1 where four pixels sum to more than 2: the boundary is |sum - 2| / 2 away in L2."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        model[1].bias.copy_(torch.tensor([2.0, -2.0]))
    return model.eval()

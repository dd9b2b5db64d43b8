"""A network trained on the embedded digits in a second, and the digits."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from steadygrad.datasets import ImageDataset, batches, load_dataset


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    return load_dataset("digits", "train").first(600)


@pytest.fixture(scope="session")
def held_out() -> ImageDataset:
    return load_dataset("digits", "test").first(120)


@pytest.fixture(scope="session")
def trained(digits: ImageDataset) -> nn.Sequential:
    """Whoever changes it takes a copy."""
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for epoch in range(12):
        for images, labels in batches(digits, 64, shuffle_seed=epoch):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
    model.zero_grad(set_to_none=True)
    return model.eval()

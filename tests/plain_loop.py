"""A small network on the embedded digits, and the weights that a plain loop leaves it with."""

import torch
from torch import Tensor, nn

from steadygrad.datasets import load_dataset
from steadygrad.penalties import NormPenalty

PENALTY = NormPenalty(eps=0.05)
RATE = 0.05
LEARNING = "sgr:strength=5,covariance=stationary,covariance.source=gradient"


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 10))


def images_and_labels(count: int = 96) -> tuple[Tensor, Tensor]:
    digits = load_dataset("digits", "train").first(count)
    return digits.images(), digits.labels


def plain_loop(model: nn.Module, batch: int, accumulation: int = 1) -> dict[str, Tensor]:
    """Return the weights after one epoch of SGD in the stored order."""
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    pairs = list(zip(*(t.split(batch) for t in images_and_labels()), strict=True))
    for number, (images, labels) in enumerate(pairs, start=1):
        (PENALTY(model, images, labels).loss / accumulation).backward()
        if number % accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
    return dict(model.state_dict())


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-6)

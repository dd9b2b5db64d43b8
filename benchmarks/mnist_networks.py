"""Images and quickly trained networks for the benchmarks of attacks."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from steadygrad.datasets import load_dataset
from steadygrad.errors import DatasetError
from steadygrad.models import build_model
from steadygrad.penalties import SquaredNormPenalty

__all__ = ["datasets_folder", "is_right", "load_images", "trained_network"]

Labelled = tuple[Tensor, Tensor]


def datasets_folder() -> Path:
    """Return where the real sets are: STEADYGRAD_DATA, else a folder beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    return Path(os.environ.get("STEADYGRAD_DATA", beside))


def load_images(count: int) -> tuple[str, Labelled, Labelled]:
    """Return where they are from, training images and ``count`` test images, 28x28 grey."""
    folder = datasets_folder()
    try:
        train = load_dataset("mnist", "train", data_dir=folder, limit=6000)
        test = load_dataset("mnist", "test", data_dir=folder, limit=count)
        return "MNIST", (train.images(), train.labels), (test.images(), test.labels)
    except DatasetError:
        train, test = load_dataset("digits", "train"), load_dataset("digits", "test", limit=count)
        large = [nn.functional.interpolate(d.images(), size=(28, 28)) for d in (train, test)]
        source = "scikit-learn digits, enlarged"
        return source, (large[0], train.labels), (large[1], test.labels)


def trained_network(name: str, strength: float, images: Tensor, labels: Tensor) -> nn.Module:
    """Train for one epoch under the squared-L1 penalty: an accuracy that falls with eps."""
    torch.manual_seed(0)
    model, penalty = build_model(name), SquaredNormPenalty(strength=strength)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for batch in torch.randperm(len(images)).split(64):  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.zero_grad()
        penalty(model, images[batch], labels[batch]).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    return model.eval()


@torch.no_grad()
def is_right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return which images the network classifies as labelled, where they lie."""
    logits: Tensor = model(images)
    return logits.argmax(dim=1) == labels

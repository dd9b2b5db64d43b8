"""Noise that is correlated over pixels: a penalty with that covariance, against one without."""

import torch
from torch import nn

from steadygrad.attacks import ATTACKS
from steadygrad.covariance import ExponentialCovariance
from steadygrad.datasets import batches, load_dataset
from steadygrad.evaluation import accuracy_curve
from steadygrad.penalties import GradientNormPenalty, Penalty, StructuredPenalty

NOISE = "lrc:eps=0.3,covariance=exponential:4,samples=20"


def trained(penalty: Penalty, epochs: int) -> nn.Module:
    """Return a small network trained on the embedded digits with the penalty."""
    torch.manual_seed(0)
    training = load_dataset("digits", "train")
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for epoch in range(epochs):
        for images, labels in batches(training, 32, shuffle_seed=epoch):
            optimizer.zero_grad()
            penalty(model, images, labels).loss.backward()
            optimizer.step()
    return model.eval()


def main(epochs: int = 6) -> dict[str, float]:
    """Return the accuracy of each network under the noise, the worst of 20 draws for each image."""
    test = load_dataset("digits", "test")
    penalties = {
        "no penalty": GradientNormPenalty(strength=0.0),
        "white": GradientNormPenalty(strength=0.1),
        "structured": StructuredPenalty(
            strength=0.1, covariance=ExponentialCovariance((1, 8, 8), 4.0)
        ),
    }
    found = {}
    for name, penalty in penalties.items():
        curve = accuracy_curve(
            trained(penalty, epochs),
            test.images(),
            test.labels,
            ATTACKS.parse(NOISE),
            eps_values=(0, 0.1, 0.2, 0.3),
        )
        shown = ", ".join(f"{point.eps:g}: {point.accuracy:.1%}" for point in curve.points)
        print(f"{name:12} {shown}")
        found[name] = curve.points[2].accuracy
    return found


if __name__ == "__main__":
    main()

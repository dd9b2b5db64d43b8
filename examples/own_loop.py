"""Harden a network in a plain PyTorch loop: one line of it is ours."""

import torch
from torch import nn

from steadygrad.datasets import batches, load_dataset
from steadygrad.penalties import CrossEntropy, NormPenalty


def main(epochs: int = 4) -> float:
    """Train on the embedded digits; return the test accuracy under PGD."""
    torch.manual_seed(0)
    train, test = load_dataset("digits", "train"), load_dataset("digits", "test")
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
    )
    penalty, loss = NormPenalty(eps=0.1), CrossEntropy(smoothing=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        for images, labels in batches(train, 64, shuffle_seed=epoch):
            optimizer.zero_grad()
            result = penalty(model, images, labels, loss=loss)
            share = min(1.0, epoch / 2)  # let the penalty in over two epochs
            (result.data_loss + share * result.penalty).backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {result.data_loss:.3f}, penalty {result.penalty:.3f}")

    from steadygrad.attacks import PGD
    from steadygrad.evaluation import accuracy_curve

    curve = accuracy_curve(
        model, test.images(), test.labels, PGD(eps=0.1, steps=10), [0.0, 0.05, 0.1]
    )
    for point in curve.points:
        print(f"eps {point.eps:g}: {100 * point.accuracy:.1f} % correct")
    return curve.points[-1].accuracy


if __name__ == "__main__":
    main()

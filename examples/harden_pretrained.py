"""Harden a network that is already trained: one call, then accuracy before and after."""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from steadygrad import harden
from steadygrad.datasets import batches, load_dataset

EPS = 0.1
"""The radius: no pixel changes by more, in units of the pixel range."""


def pretrained(epochs: int = 4) -> nn.Module:
    """Return a network trained without a penalty; in your project, load your own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for epoch in range(epochs):
        for images, labels in batches(load_dataset("digits", "train"), 32, shuffle_seed=epoch):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model.eval()


def main(out: Path | str = "hardened", epochs: int = 5) -> tuple[float, float]:
    """Harden the network; return its accuracy under PGD before and after.

    The folder ``out`` then holds both networks, a report and the exported weights.
    """
    result = harden(
        pretrained(),
        "digits",
        load_dataset("digits", "test"),
        eps=EPS,
        out=out,
        epochs=epochs,
        optimizer="adamw:learning_rate=0.002",
        audited=False,  # PGD only; the quick audit takes longer
        overwrite=True,
    )
    assert result.report is not None
    before, after = result.report.before, result.report.after
    print(f"without attack: {before.clean.accuracy:.1%} -> {after.clean.accuracy:.1%}")
    robust = before.worst_case(EPS).accuracy, after.worst_case(EPS).accuracy
    print(f"under PGD at {EPS}: {robust[0]:.1%} -> {robust[1]:.1%}")
    print(f"report: {result.folder / 'report.md'}")
    return robust


if __name__ == "__main__":
    main(*sys.argv[1:2])

"""Fail a build if a network has become less robust: exit code 1 and one sentence."""

import sys
from pathlib import Path

import torch
from torch import nn

from steadygrad import audit
from steadygrad.datasets import load_dataset

LEAST = 0.20
"""The worst case's 95 % interval has to begin above this."""


def network() -> nn.Module:
    """Return the network under test; in your project, build it and load its weights."""
    torch.manual_seed(0)
    training = load_dataset("digits", "train")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(training.images()), training.labels).backward()
        optimizer.step()
    return model.eval()


def main(out: Path | str = "audit", least: float = LEAST) -> int:
    """Audit the network; return the exit code. Finished attacks in ``out`` are not repeated."""
    images = load_dataset("digits", "test", limit=100)
    result = audit(
        network(), images.images(), images.labels, eps=0.05, budget="quick", seed=0, out=out
    )
    low, high = result.worst_case.ci95
    print(f"worst case {result.worst_case.accuracy:.1%} correct  [{low:.1%}, {high:.1%}]")
    print(f"gradient masking: {result.verdict.level}")
    if result.verdict.level == "masked":
        print(f"failed: {result.verdict.summary}")
        return 1
    if low < least:
        print(f"failed: expected an interval from at least {least:.1%}, got {low:.1%}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

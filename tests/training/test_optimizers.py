"""Laws of steadygrad.training.optimizers: each part builds torch's optimizer with its settings."""

from typing import Any

import pytest
import torch
from torch import nn

from part_examples import examples
from steadygrad.training import OPTIMIZERS, SGD, Adam, AdamW
from steadygrad.training.optimizers import OptimizerPart


def weights() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> torch.Tensor:
    """The parameter after five steps down a crooked bowl."""
    for _ in range(5):
        optimizer.zero_grad()
        (parameter.square() * torch.tensor([0.1, 1.0, 2.0])).sum().backward()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize(
    ("part", "kind", "settings"),
    [
        (
            SGD(learning_rate=0.1, momentum=0.5, weight_decay=0.01),
            torch.optim.SGD,
            {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01, "nesterov": True},
        ),
        (
            SGD(learning_rate=0.1, nesterov=False),
            torch.optim.SGD,
            {"lr": 0.1, "momentum": 0.875, "weight_decay": 1e-4},
        ),
        (SGD(momentum=0.0, weight_decay=0.0), torch.optim.SGD, {"lr": 0.005}),
        (
            Adam(learning_rate=0.1, denominator=0.01, weight_decay=0.1),
            torch.optim.Adam,
            {"lr": 0.1, "eps": 0.01, "weight_decay": 0.1},
        ),
        (Adam(), torch.optim.Adam, {"lr": 1e-3, "weight_decay": 1e-4}),
        (
            AdamW(learning_rate=0.1, weight_decay=0.2),
            torch.optim.AdamW,
            {"lr": 0.1, "weight_decay": 0.2},
        ),
        (AdamW(), torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.05}),
    ],
    ids=lambda value: OPTIMIZERS.text(value) if isinstance(value, SGD | Adam | AdamW) else "",
)
def test_builds_what_torch_has_with_these_settings(
    part: OptimizerPart, kind: type[torch.optim.Optimizer], settings: dict[str, Any]
) -> None:
    ours, theirs = weights(), weights()
    built = part.build([ours])
    assert type(built) is kind
    assert torch.equal(steps(built, ours), steps(kind([theirs], **settings), theirs))


@pytest.mark.parametrize("part", examples(OPTIMIZERS), ids=OPTIMIZERS.text)
def test_every_optimizer_starts_at_its_rate_and_goes_downhill(part: OptimizerPart) -> None:
    parameter = weights()
    optimizer = part.build([parameter])
    assert optimizer.param_groups[0]["lr"] == part.learning_rate > 0
    assert (steps(optimizer, parameter).abs() < weights().detach().abs()).all()

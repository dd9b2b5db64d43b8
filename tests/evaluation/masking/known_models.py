"""Models of which every diagnostic's number is known, and outcomes written down by hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.masking.conftest import MakeSample
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.outcome import AttackOutcome, Family

GREY = torch.full((32, 1, 4, 4), 0.5)
CLASS_0 = torch.zeros(32, dtype=torch.int64)


class Linear(nn.Module):
    """Margin ``m(x) = weight . (x - 0.5) + offset``, with two logits, m/2 and -m/2."""

    def __init__(self, weight: Tensor | None = None, offset: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(16) if weight is None else weight)
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        margin = (x - 0.5).flatten(start_dim=1) @ self.weight + self.offset
        return torch.stack((margin / 2, -margin / 2), dim=1)


class OnePixel(nn.Module):
    """A margin that is any function of how far the only pixel is from grey."""

    def __init__(self, margin: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> Tensor:
        margin = self.margin(x.flatten() - 0.5)
        return torch.stack((margin / 2, -margin / 2), dim=1)


def one_pixel(sample_of: MakeSample, margin: Callable[[Tensor], Tensor], **settings: Any) -> Sample:
    return sample_of(OnePixel(margin), torch.full((32, 1, 1, 1), 0.5), CLASS_0, **settings)


def linear(sample_of: MakeSample, model: nn.Module | None = None, **settings: Any) -> Sample:
    return sample_of(model or Linear(), GREY, CLASS_0, **settings)


def outcome(name: str, family: Family, broken: list[int], **attack: Any) -> AttackOutcome:
    is_broken = torch.zeros(32, dtype=torch.bool)
    is_broken[broken] = True
    return AttackOutcome(
        name=name,
        family=family,
        attack={"name": "pgd", "target": None, "restarts": 1, "loss": "cross-entropy"} | attack,
        eps=0.1,
        norm="linf",
        attacked=torch.ones(32, dtype=torch.bool),
        broken=is_broken,
        seconds=0.0,
        queries=0,
        gradients=0,
        seed=0,
    )

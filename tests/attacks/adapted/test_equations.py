"""The adapted attacks step by step, against their equations: a success rate does not tell them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygrad.attacks import SmoothedGradient, WideDifferences, draws_needed
from steadygrad.attacks.adapted.ascent import climb
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.l2_ball import ball_of_norm

LABEL = torch.zeros(1, dtype=torch.int64)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Settings:
    norm: Norm
    eps: float = 0.2
    steps: int = 5
    loss: str = "margin"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_climb_has_momentum_of_scaled_slopes_and_steps_that_shrink(norm: Norm) -> None:
    images = torch.rand(3, 1, 2, 2, generator=generator(0))
    sizes = torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1, 1)  # no image may count for another
    slopes = sizes * torch.randn(5, 3, 1, 2, 2, generator=generator(1))
    seen: list[Tensor] = []
    given: Iterator[Tensor] = iter(slopes)

    def model(x: Tensor) -> Tensor:  # class 0 always leads, by less the more steps there were
        nothing = 0 * x.sum((1, 2, 3))
        return torch.stack((10 - len(seen) + nothing, nothing), dim=1)

    def gradient(points: Tensor, *_: Any) -> Tensor:
        seen.append(points)
        return next(given)

    labels = torch.zeros(3, dtype=torch.int64)
    attack: Any = Settings(norm)
    found = climb(attack, model, images, labels, [(gradient, 1)], generator(2))
    ball = ball_of_norm(images, 0.2, norm)
    x, velocity = ball.draw_uniform(generator(2)), torch.zeros_like(images)
    for step, slope in enumerate(slopes):
        torch.testing.assert_close(seen[step], x)
        velocity = 0.75 * velocity + slope / slope.abs().sum((1, 2, 3), keepdim=True)
        x = ball.project(x + 0.1 * (1 - step / 5) * ball.steepest(velocity))
    torch.testing.assert_close(found, x)


def test_the_number_of_draws_is_estimated_without_bias() -> None:
    signs = iter([1.0, -1.0] * 4)

    def model(x: Tensor) -> Tensor:  # gradients 2 g and 0 in turn
        margin = (1 + next(signs)) * x.flatten(1)[:, 0]
        return torch.stack((-margin, 0 * margin), dim=1)

    # Of 8: variance 8/7 g^2, squared length g^2 - 1/7 g^2, and 4 times their ratio is 5.33.
    labels = torch.zeros(2, dtype=torch.int64)
    assert draws_needed(model, torch.rand(2, 1, 1, 2, generator=generator(0)), labels) == 6


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", [SmoothedGradient, WideDifferences])
def test_copies_are_normal_around_the_point(kind: Any, norm: Norm) -> None:
    image, eps = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64), 0.04
    seen: list[Tensor] = []

    def model(x: Tensor) -> Tensor:
        seen.append(x.detach())
        total = x.sum((1, 2, 3))
        return torch.stack((10 + total, 0 * total), dim=1)

    many = {"copies": 4000} if kind is SmoothedGradient else {"pairs": 4000}
    attack = kind(eps=eps, norm=norm, steps=1, widths=(0.5,), **many)
    attack(model, image, LABEL, generator=generator(0))
    start, chunks = seen[0], [x for x in seen if len(x) > 1]
    moves = torch.cat(chunks) - start
    width = 0.5 * eps / (1 if norm == "linf" else 4)
    assert moves.std().item() == pytest.approx(width, rel=0.02)
    assert moves.mean().abs() < 5 * width / math.sqrt(moves.numel())
    if kind is WideDifferences:
        for ahead, behind in zip(chunks[::2], chunks[1::2], strict=True):
            torch.testing.assert_close(ahead + behind, (2 * start).expand_as(ahead))

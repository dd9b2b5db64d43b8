"""Ways up a loss that is blurred by Gaussian noise, of one width after the other."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapted.ascent import Climb, Climbing
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.goal import Goal
from steadygrad.draws import ImageDraws, integers, normal
from steadygrad.errors import HyperparameterError

__all__ = ["Blurring", "CopiesSlope", "blurred_climbs", "check_widths"]

TOGETHER, MOST_NUMBERS = 512, 1 << 24
"""Images that go through a model at once, and pixels of them all, where an image has several
copies; one copy of each image at least."""


class Blurring(Climbing, Protocol):
    """The settings of an attack that climbs a blurred loss."""

    @property
    def widths(self) -> tuple[float, ...]: ...


CopiesSlope: TypeAlias = Callable[[Goal, Images, float, Tensor], Tensor]
"""Of a goal with one row a copy, points (batch, 1, channels, height, width), sigma and noise
(batch, copies, channels, height, width) of N(0, 1): a gradient for every copy, shaped like the
noise."""


def check_widths(widths: tuple[float, ...]) -> None:
    """Refuse widths that are not positive, and an empty list of them.

    Raises: HyperparameterError.
    """
    if not widths or not all(0 < width < float("inf") for width in widths):
        raise HyperparameterError(f"expected widths > 0, at least one, got {widths}")


def blurred_climbs(
    attack: Blurring,
    copies: int,
    slope: CopiesSlope,
    images: Images,
    labels: Labels,
    generator: torch.Generator | None,
) -> Iterator[Climb]:
    """Return one climb for each width, along ``slope`` summed over so many copies of each image."""
    noise_of = _noisy_copies(labels, generator)
    for width in attack.widths:
        sigma = _pixel_width(width, attack.eps, attack.norm, images)

        def gradient(points: Images, goal: Goal, rows: Tensor, sigma: float = sigma) -> Tensor:
            total = torch.zeros_like(points)
            for noise in noise_of(points, rows, copies):
                asked = _goal_of_copies(goal, noise.shape[1])
                total += slope(asked, points.unsqueeze(1), sigma, noise).sum(dim=1)
            return total

        yield gradient, 1


_NoisyCopies: TypeAlias = Callable[[Images, Tensor, int], Iterator[Tensor]]
"""Of images, their rows in the batch and a number of copies: noise (batch, part, channels, height,
width), N(0, 1) in every pixel, parts of the copies after each other."""


def _noisy_copies(labels: Labels, generator: torch.Generator | None) -> _NoisyCopies:
    """Return a source of noise; what an image gets depends on its place in the batch alone."""
    seeds = integers(0, 1 << 62, labels.shape, generator, device=labels.device)
    taken = 0

    def of(images: Images, rows: Tensor, copies: int) -> Iterator[Tensor]:
        nonlocal taken
        taken += 1
        together = max(1, min(TOGETHER // len(images), MOST_NUMBERS // images.numel()))
        # A stream for each copy: what it gets does not depend on how many are drawn together.
        streams = seeds[rows].unsqueeze(1) + (taken << 20)
        for part in torch.arange(copies, device=seeds.device).split(together):  # type: ignore[no-untyped-call] # torch leaves it untyped
            noise = normal(
                (len(images) * len(part), *images.shape[1:]),
                ImageDraws((streams + part).flatten()),
                dtype=images.dtype,
                device=images.device,
            )
            yield noise.view(len(images), len(part), *images.shape[1:])

    return of


def _goal_of_copies(goal: Goal, copies: int) -> Goal:
    """Return the goal of so many copies of each image, those of an image one after the other."""
    rows = torch.arange(len(goal.labels), device=goal.labels.device)
    return goal.at(rows.repeat_interleave(copies))


def _pixel_width(width: float, eps: float, norm: Norm, images: Images) -> float:
    """Return the standard deviation of a pixel for noise of about ``width * eps`` in the norm."""
    return width * eps / (1.0 if norm == "linf" else images[0].numel() ** 0.5)

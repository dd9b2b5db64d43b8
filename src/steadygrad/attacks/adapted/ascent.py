"""Steps up a loss along estimated gradients: momentum, shrinking steps, the best iterate."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm, PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import L2Ball, ball_of_norm
from steadygrad.attacks.losses import Loss, check_loss
from steadygrad.attacks.mean_answers import MeanAnswers
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError

__all__ = [
    "Climb",
    "Climbing",
    "GradientSource",
    "check_ascent",
    "climb",
    "mean_gradient",
]

GradientSource: TypeAlias = Callable[[Images, Goal, Tensor], Tensor]
"""Of points, what they are to reach, and their rows in the batch, int64: a gradient like them."""

FIRST_STEP = 0.5
"""Of the first step, in parts of eps; the last one is that over the number of steps."""
MOMENTUM = 0.75


def check_ascent(eps: float, norm: Norm, loss: Loss, **counts: int) -> None:
    """Refuse settings out of range.

    Raises: HyperparameterError, UnknownNameError.
    """
    check_eps(eps, norm)
    check_loss(loss)
    for name, value in counts.items():
        if value < 1:
            raise HyperparameterError(f"expected {name} >= 1, got {value}")


Climb: TypeAlias = tuple[GradientSource, int]
"""One way up from a random point: its gradients, and how many answers of the model are averaged
where the model judges an iterate."""


class Climbing(Protocol):
    """The settings of an attack that climbs."""

    @property
    def eps(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def loss(self) -> Loss: ...
    @property
    def norm(self) -> Norm: ...


def climb(
    attack: Climbing,
    model: Classifier,
    images: Images,
    labels: Labels,
    climbs: Iterable[Climb],
    generator: torch.Generator | None,
) -> Images:
    """Return what the climbs find, each from a random point, for the examples not yet broken.

    climbs: asked for one after the other, the first when images and labels have been checked.
    Raises: ImageError, LabelError, ModelError.
    """
    check_images(images)
    check_labels(labels, len(images))
    if attack.eps == 0:
        return images.detach().clone()
    ball, found = ball_of_norm(images, attack.eps, attack.norm), StrongestFound(images)
    goal = Goal(labels, loss=attack.loss)
    for gradient, passes in climbs:
        start = ball.draw_uniform(generator)
        _ascend(model, goal, ball, start, found, gradient, attack.steps, passes)
    return found.images


def mean_gradient(model: Classifier, draws: int) -> GradientSource:
    """Return the gradient summed over so many passes; its length does not matter here."""

    def gradient(points: Images, goal: Goal, rows: Tensor) -> Tensor:  # noqa: ARG001 (all are asked alike)
        total = torch.zeros_like(points)
        for _ in range(draws):
            total += goal.ascent(model, points)[1]
        return total

    return gradient


def _ascend(
    model: Classifier,
    goal: Goal,
    ball: PerturbationBall | L2Ball,
    start: Images,
    found: StrongestFound,
    gradient: GradientSource,
    steps: int,
    passes: int,
) -> None:
    """Climb from ``start`` for the examples that ``found`` has unbroken; offer it every iterate.

    A step follows ``v <- 0.75 v + g / |g|_1`` and is ``eps / 2`` long at first, shrinking to
    ``eps / 2 steps``. An example stops where it is broken. An example without any gradient stays.
    """
    if len(rows := found.unbroken) == 0:
        return
    judge = model if passes == 1 else MeanAnswers(model, passes)
    here, velocity = start[rows], torch.zeros_like(start[rows])
    rows, here, velocity = _judged(judge, goal, found, rows, here, velocity)
    for step in range(steps):
        if len(rows) == 0:
            return
        slope = gradient(here, goal.at(rows), rows)
        size = slope.abs().flatten(start_dim=1).sum(dim=1).view(-1, 1, 1, 1)
        velocity = MOMENTUM * velocity + torch.where(size > 0, slope / size, 0.0).to(velocity)
        length = FIRST_STEP * ball.eps * (1 - step / steps)
        part = ball.at(rows)
        here = part.project(torch.add(here, part.steepest(velocity), alpha=length))
        rows, here, velocity = _judged(judge, goal, found, rows, here, velocity)


def _judged(
    judge: Classifier,
    goal: Goal,
    found: StrongestFound,
    rows: Tensor,
    here: Images,
    velocity: Tensor,
) -> tuple[Tensor, Images, Tensor]:
    """Offer where the examples are; return those that stand, where they are and how they move."""
    values, is_broken = goal.at(rows).judge(judge, here)
    check_finite_losses(values)
    found.offer(rows, here, values, is_broken)
    stands = ~is_broken
    return rows[stands], here[stands], velocity[stands]

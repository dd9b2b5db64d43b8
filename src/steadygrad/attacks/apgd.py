"""APGD: gradient steps with momentum, whose size halves where they no longer lead up."""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.ball import Norm, PerturbationBall
from steadygrad.attacks.boundaries import nearest_boundaries
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import L2Ball, ball_of_norm
from steadygrad.attacks.labels import predicted_labels
from steadygrad.attacks.losses import Loss, check_loss
from steadygrad.attacks.part import attack
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.model_answer import answer

__all__ = ["APGD"]

Target: TypeAlias = Literal["nearest"]

FIRST_STEP, MOMENTUM, LEAST_GAINS = 2.0, 0.75, 0.75
"""The first step in units of eps; alpha of Algorithm 1; rho of its condition 1."""
FIRST_PERIOD, SHORTER_BY, LEAST_PERIOD = 22, 3, 6
"""Per cent of the steps before the first look at the step size; by how much each period is shorter
than the one before it; the shortest."""


@attack("apgd", title="APGD", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class APGD:
    """Climb with momentum; halve an image's step where progress ends, and go on from its best.

    ``z = project(x_k + size * steepest(g_k))`` and
    ``x_k+1 = project(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_k-1))``. The size is ``2 eps`` at first.
    After 22 % of the steps, and then after ever shorter periods, it is halved for an image whose
    loss rose in fewer than three quarters of the period's steps, or whose highest loss has not
    risen since the last look, unless the size was halved there. That image goes back to its best
    point.

    Args:
        eps: radius in ``norm``: at most 1 for "linf", any for "l2".
        steps: gradients an image, restart and target, at least 1.
        restarts: how often to start anew, at least 1.
        near: restart only for images that are nearly broken: from the best point found so far,
            the linearized distance to the nearest other class is at most ``near * eps``. None
            restarts for all.
        loss: "cross-entropy", "dlr" (untouched by the logits' shift and scale) or "margin".
        target: None leads away from the label. "nearest" leads towards other classes in turn,
            those first whose linearized boundary is nearest (``nearest_boundaries``); any wrong
            class counts as success.
        candidates: classes that "nearest" tries, at least 1.
        random_start: begin at a random point of the ball; False begins at the image.
        start_from_prediction: leave the class that the model predicts instead of the label.
        norm: "linf" or "l2".

    Raises:
        HyperparameterError, UnknownNameError: a setting is out of range.

    Source: Croce & Hein, ICML 2020 (arXiv:2003.01690), Algorithm 1. Departures: an image that is
    broken is returned at once and costs no further pass; the start is drawn from the whole ball,
    not scaled to its surface; and the authors order targets by their logits.

    Each image keeps its first success, else the point of highest loss (with targets, of highest
    margin).
    """

    eps: float
    steps: int = 100
    restarts: int = 1
    near: float | None = None
    loss: Loss = "cross-entropy"
    target: Target | None = None
    candidates: int = 9
    random_start: bool = True
    start_from_prediction: bool = False
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm)
        check_loss(self.loss)
        for name in ("steps", "restarts", "candidates"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.target not in (None, "nearest"):
            raise UnknownNameError(f"expected target nearest or None, got {self.target!r}")
        if self.near is not None and not 0 < self.near < float("inf"):
            raise HyperparameterError(f"expected near > 0 and finite, got {self.near}")
        if self.restarts > 1 and not self.random_start:
            raise HyperparameterError(
                f"expected random_start=True with {self.restarts} restarts, got False: "
                "every restart would repeat the first"
            )

    @property
    def autoattack_member(self) -> str | None:
        """Which part of AutoAttack it is, by the authors' name; None with the margin as loss."""
        members = {
            ("cross-entropy", None): "apgd-ce",
            ("dlr", None): "apgd-dlr",
            ("dlr", "nearest"): "apgd-t",
        }
        return members.get((self.loss, self.target))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises:
            ImageError, LabelError, ModelError: for what cannot be attacked.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        if self.start_from_prediction:
            labels = predicted_labels(model, images)
        ball, found = ball_of_norm(images, self.eps, self.norm), StrongestFound(images)
        goals, aim = self._goals(model, images, labels)
        for restart in range(self.restarts):
            rows = self._worth_a_start(model, labels, found, is_first=restart == 0)
            for goal in goals:
                start = ball.draw_uniform(generator) if self.random_start else ball.images
                rows = found.unbroken_of(rows)
                if len(rows) == 0:
                    return found.images
                _climb(model, goal, aim, ball, start, found, rows, self.steps)
        return found.images

    def _worth_a_start(
        self, model: Classifier, labels: Labels, found: StrongestFound, *, is_first: bool
    ) -> Tensor:
        """Return the rows of the images to start from, int64."""
        rows = found.unbroken
        if is_first or self.near is None or len(rows) == 0:
            return rows
        _, left = nearest_boundaries(model, found.images[rows], labels[rows], 1, self.norm)
        return rows[left.squeeze(1) <= self.near * self.eps]

    def _goals(self, model: Classifier, images: Images, labels: Labels) -> tuple[list[Goal], Goal]:
        """Return what to climb, one after the other, and what counts."""
        if self.target is None:
            goal = Goal(labels, loss=self.loss)
            return [goal], goal
        classes, _ = nearest_boundaries(model, images, labels, self.candidates, self.norm)
        goals = [Goal(labels, targets=column, loss=self.loss) for column in classes.unbind(dim=1)]
        # Of all targets, none is the one to reach: what counts is that the label is left.
        return goals, Goal(labels, loss="margin")


@dataclass
class _Climbers:
    """The examples that still climb, (n, ...) each, and what was best of each on this climb.

    rows: int64, into the whole batch.
    here, before: this point and the one before it; size: of the next step, (n, 1, 1, 1).
    value, best_value: of what is climbed; best_merit: of what counts as success, at that point.
    gains: steps since the last look that led up.
    value_at_look: the highest value at the last look; was_halved: whether the size was, there.
    """

    rows: Tensor
    here: Images
    before: Images
    size: Tensor
    gradient: Tensor
    value: Tensor
    best: Images
    best_gradient: Tensor
    best_value: Tensor
    best_merit: Tensor
    gains: Tensor
    value_at_look: Tensor
    was_halved: Tensor

    @classmethod
    def at_start(cls, rows: Tensor, start: Images, eps: float) -> "_Climbers":
        """Return them where nothing is known yet; no first value counts as a gain."""
        lowest = start.new_full((len(rows),), -torch.inf)
        nothing = torch.zeros_like(start)
        return cls(
            rows=rows,
            here=start,
            before=start,
            size=start.new_full((len(rows), 1, 1, 1), FIRST_STEP * eps),
            gradient=nothing,
            value=-lowest,
            best=start,
            best_gradient=nothing,
            best_value=lowest,
            best_merit=lowest,
            gains=torch.zeros_like(rows),
            value_at_look=lowest,
            was_halved=torch.ones_like(rows, dtype=torch.bool),
        )

    def at(self, rows: Tensor) -> "_Climbers":
        """Return those at ``rows``, int64 indices into these."""
        return _Climbers(*(getattr(self, field.name)[rows] for field in fields(self)))

    def learn(self, value: Tensor, gradient: Tensor, merit: Tensor) -> None:
        """Take in what the model says of ``here``."""
        value = value.to(self.value.dtype)
        self.gains = self.gains + (value > self.value)
        is_best = value > self.best_value
        self.best = torch.where(_per_image(is_best), self.here, self.best)
        self.best_gradient = torch.where(_per_image(is_best), gradient, self.best_gradient)
        self.best_value = torch.where(is_best, value, self.best_value)
        self.best_merit = torch.where(is_best, merit.to(self.best_merit.dtype), self.best_merit)
        self.value, self.gradient = value, gradient

    def halve_where_stuck(self, period: int) -> None:
        """Halve the size, and go back to the best point, where the last ``period`` led nowhere."""
        is_stuck = self.gains < LEAST_GAINS * period
        is_stuck |= ~self.was_halved & (self.value_at_look >= self.best_value)
        per_image = _per_image(is_stuck)
        self.size = torch.where(per_image, self.size / 2, self.size)
        self.here = torch.where(per_image, self.best, self.here)
        self.gradient = torch.where(per_image, self.best_gradient, self.gradient)
        self.value = torch.where(is_stuck, self.best_value, self.value)
        self.was_halved, self.value_at_look = is_stuck, self.best_value
        self.gains = torch.zeros_like(self.gains)

    def move(self, ball: PerturbationBall | L2Ball, momentum: float) -> None:
        """Take one step; ``momentum`` is alpha, 1 for none."""
        ahead = ball.project(self.here + self.size * ball.steepest(self.gradient))
        if momentum < 1:
            along = momentum * (ahead - self.here) + (1 - momentum) * (self.here - self.before)
            ahead = ball.project(self.here + along)
        self.before, self.here = self.here, ahead


def _climb(
    model: Classifier,
    goal: Goal,
    aim: Goal,
    ball: PerturbationBall | L2Ball,
    start: Images,
    found: StrongestFound,
    rows: Tensor,
    steps: int,
) -> None:
    """Climb ``goal`` from ``start`` for the examples at ``rows``, none of which is broken yet.

    What succeeds, by ``aim``, is offered to ``found`` at once, the best of the others at the end.
    """
    looks, last_look = _looks(steps), 0
    goal, aim, ball = goal.at(rows), aim.at(rows), ball.at(rows)
    climbers = _Climbers.at_start(rows, start[rows], ball.eps)
    for step in range(steps + 1):
        value, gradient, logits = _seen(model, goal, climbers.here, is_last=step == steps)
        check_finite_losses(value)
        merit, is_broken = aim.weigh(logits)
        climbers.learn(value, gradient, merit)
        if bool(is_broken.any()):
            found.offer(
                climbers.rows[is_broken],
                climbers.here[is_broken],
                merit[is_broken],
                is_broken[is_broken],
            )
            unbroken = (~is_broken).nonzero().squeeze(1)
            if len(unbroken) == 0:
                return
            climbers, ball = climbers.at(unbroken), ball.at(unbroken)
            goal, aim = goal.at(unbroken), aim.at(unbroken)
        if step in looks:
            climbers.halve_where_stuck(step - last_look)
            last_look = step
        if step < steps:
            climbers.move(ball, MOMENTUM if step else 1.0)
    found.offer(
        climbers.rows,
        climbers.best,
        climbers.best_merit,
        torch.zeros_like(climbers.rows, dtype=torch.bool),
    )


def _seen(
    model: Classifier, goal: Goal, here: Images, *, is_last: bool
) -> tuple[Tensor, Tensor, Logits]:
    """Return value, gradient and logits; the last point needs no gradient, and gets none."""
    if not is_last:
        return goal.look(model, here)
    with torch.no_grad():
        logits = answer(model, here)
        return goal.weigh(logits)[0], torch.zeros_like(here), logits


def _looks(steps: int) -> frozenset[int]:
    """Return after which steps the size is looked at: the paper's ``ceil(p_j * steps)``."""
    looks, per_cent, period = set(), 0, FIRST_PERIOD
    while (per_cent := per_cent + period) <= 100:
        looks.add(-(-per_cent * steps // 100))
        period = max(period - SHORTER_BY, LEAST_PERIOD)
    return frozenset(looks)


def _per_image(flags: Tensor) -> Tensor:
    return flags.view(-1, 1, 1, 1)

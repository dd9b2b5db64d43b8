"""Projected gradient descent (PGD): sign steps that never leave the ball."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.labels import predicted_labels, random_targets
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import (
    check_eps,
    check_finite_losses,
    check_images,
    check_labels,
    check_logits,
)
from steadygrad.errors import HyperparameterError

__all__ = ["PGD"]

REACH = 1.85
"""How many eps the steps add up to by default."""


@dataclass(frozen=True, kw_only=True)
class PGD:
    """Repeat ``x <- project(x + step_size * sign(grad_x loss(x, y)))``, loss the cross-entropy.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    steps: gradient evaluations an image and restart, at least 1.
    step_size: positive, in pixel units; None takes ``1.85 * eps / steps``.
    restarts: how often to start anew, at least 1. Each example keeps its first success, else its
        highest loss; one that succeeded is not attacked again.
    random_start: begin at ``x + U(-eps, eps)`` clipped to [0, 1]; False begins at ``x``.
    targeted: *lower* the loss at a target class: the one passed in the call as ``targets``, or
        one drawn uniformly from the classes other than ``y``.
    start_from_prediction: take the model's own prediction for ``y`` instead of the label given.
    Source: Madry et al., ICLR 2018 (arXiv:1706.06083), section 2.1. The default step is that of
        the code published with Yeats, Chen & Li, ICML 2021.

    The last iterate is returned, successful or not. A pixel whose gradient is exactly zero stays
    as it is.
    """

    eps: float
    steps: int = 8
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    targeted: bool = False
    start_from_prediction: bool = False

    def __post_init__(self) -> None:
        check_eps(self.eps)
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.step_size is not None and not 0 < self.step_size <= 1:
            raise HyperparameterError(f"expected step_size in (0, 1], got {self.step_size}")
        if self.restarts > 1 and not self.random_start:
            raise HyperparameterError(
                f"expected random_start=True with {self.restarts} restarts, got False: "
                "every restart would repeat the first"
            )

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
        targets: Labels | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        targets: int64 (batch,), the class to aim at; only with ``targeted=True``.
        Raises: ImageError, LabelError, ModelError; HyperparameterError for targets without
            ``targeted``.
        """
        check_images(images)
        check_labels(labels, len(images))
        if targets is not None:
            if not self.targeted:
                raise HyperparameterError("expected targeted=True along with targets, got False")
            check_labels(targets, len(images))
        if self.eps == 0:
            return images.detach().clone()

        goal = self._goal(model, images, labels, targets, generator)
        ball = PerturbationBall(images, self.eps)
        if self.restarts == 1:
            return self._climb(model, goal, ball, self._start(ball, generator))

        found = StrongestFound(images)
        for _ in range(self.restarts):
            start, rows = self._start(ball, generator), found.unbroken
            if len(rows) == 0:
                break
            candidates = self._climb(model, goal.at(rows), ball.at(rows), start[rows])
            found.offer(rows, candidates, *goal.at(rows).judge(model, candidates))
        return found.images

    def _goal(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        targets: Labels | None,
        generator: torch.Generator | None,
    ) -> Goal:
        if targets is not None:
            return Goal(targets, is_targeted=True)
        if self.start_from_prediction:
            labels = predicted_labels(model, images)
        if not self.targeted:
            return Goal(labels)
        classes = _class_count(model, images)
        check_labels(labels, len(images), classes)
        return Goal(random_targets(labels, classes, generator), is_targeted=True)

    def _start(self, ball: PerturbationBall, generator: torch.Generator | None) -> Images:
        return ball.draw_uniform(generator) if self.random_start else ball.images

    def _climb(
        self, model: Classifier, goal: Goal, ball: PerturbationBall, start: Images
    ) -> Images:
        step_size = REACH * self.eps / self.steps if self.step_size is None else self.step_size
        adversarial, total = start, torch.zeros((), device=start.device)
        for _ in range(self.steps):
            losses, gradient = goal.ascent(model, adversarial)
            total = total + losses
            adversarial = ball.project(torch.add(adversarial, gradient.sign(), alpha=step_size))
        # One look for all steps: sign(NaN) is 0, so a NaN would otherwise end as a weak attack.
        check_finite_losses(total)
        return adversarial


@torch.no_grad()
def _class_count(model: Classifier, images: Images) -> int:
    logits = model(images[:1])
    check_logits(logits, 1)
    return int(logits.shape[1])

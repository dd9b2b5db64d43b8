"""Projected gradient descent (PGD): steps up the loss that never leave the ball."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm, PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import L2Ball, ball_of_norm
from steadygrad.attacks.labels import predicted_labels, random_targets, wrong_classes
from steadygrad.attacks.losses import Loss, check_loss
from steadygrad.attacks.part import attack
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import (
    check_eps,
    check_finite_losses,
    check_images,
    check_labels,
    check_step_size,
)
from steadygrad.errors import HyperparameterError, UnknownNameError

__all__ = ["PGD", "TARGETS", "Target"]

Target: TypeAlias = Literal["random", "least-likely", "all", "given"]
TARGETS = ("random", "least-likely", "all", "given")


@attack("pgd", title="PGD", family="white-box", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class PGD:
    """Repeat ``x <- project(x + step_size * sign(grad_x loss(x, y)))``.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    steps: gradient evaluations an image, restart and target, at least 1.
    step_size: positive, in pixel units; None takes ``reach * eps / steps``.
    reach: how many eps the steps add up to where ``step_size`` is None; positive.
    restarts: how often to start anew, at least 1. Each example keeps its first success, else its
        highest loss; one that succeeded is not attacked again.
    random_start: begin at ``x + U(-eps, eps)`` clipped to [0, 1]; False begins at ``x``.
    target: lead *towards* a class instead of away from ``y``. "random" draws it from the classes
        other than ``y``, "least-likely" takes the one of them of the smallest logit at ``x``,
        "given" that passed in the call as ``targets``; success is then a prediction of that
        class. "all" tries every class but ``y`` in turn, those of the largest logits first, and
        counts any wrong class as success; without one, the largest margin is kept.
    start_from_prediction: take the model's own prediction for ``y`` instead of the label given.
    loss: "cross-entropy", "margin" (the largest other logit minus that of ``y``), or "dlr", which
        also takes out the logits' scale; see ``losses``. UnknownNameError otherwise.
    norm: "linf"; or "l2": eps then is the length of the change, at least 0, a step is
        ``step_size * g / |g|_2``, and the start is drawn from the round ball.
    Source: Madry et al., ICLR 2018 (arXiv:1706.06083), section 2.1. The default step is that of
        the code published with Yeats, Chen & Li, ICML 2021; Roth et al., arXiv:1805.08736, take
        10 steps of eps / 5, a reach of 2. All targets: Gowal et al., arXiv:1910.09338.

    The last iterate of each start is judged or returned, successful or not. A pixel whose
    gradient is exactly zero stays as it is.
    """

    eps: float
    steps: int = 8
    step_size: float | None = None
    reach: float = 1.85
    restarts: int = 1
    random_start: bool = True
    target: Target | None = None
    start_from_prediction: bool = False
    loss: Loss = "cross-entropy"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm)
        check_step_size(self.step_size, self.norm)
        check_loss(self.loss)
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")
        if not 0 < self.reach < float("inf"):
            raise HyperparameterError(f"expected reach > 0 and finite, got {self.reach}")
        if self.target is not None and self.target not in TARGETS:
            raise UnknownNameError(
                f"expected target one of {', '.join(TARGETS)} or None, got {self.target!r}"
            )
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

        targets: int64 (batch,), the class to aim at, along with ``target="given"`` and only then.
        Raises: ImageError, LabelError, ModelError; HyperparameterError for targets without
            ``target="given"``, or the reverse.
        """
        check_images(images)
        check_labels(labels, len(images))
        if (targets is not None) != (self.target == "given"):
            came = "none" if targets is None else f"targets along with {self.target!r}"
            raise HyperparameterError(
                f"expected targets in the call with target='given', and only then, got {came}"
            )
        if targets is not None:
            check_labels(targets, len(images))
        if self.eps == 0:
            return images.detach().clone()

        if self.start_from_prediction:
            labels = predicted_labels(model, images)
        goals = self._goals(model, images, labels, targets, generator)
        ball = ball_of_norm(images, self.eps, self.norm)
        if self.restarts == 1 and self.target != "all":
            return self._climb(model, next(goals), ball, self._start(ball, generator))

        found = StrongestFound(images)
        for goal in goals:
            # Of all targets, none is the one to reach: what counts is that the label is left.
            aim = Goal(labels, loss="margin") if self.target == "all" else goal
            for _ in range(self.restarts):
                start, rows = self._start(ball, generator), found.unbroken
                if len(rows) == 0:
                    return found.images
                candidates = self._climb(model, goal.at(rows), ball.at(rows), start[rows])
                found.offer(rows, candidates, *aim.at(rows).judge(model, candidates))
        return found.images

    @property
    def is_continuable(self) -> bool:
        """Whether ``continued`` can go on: there is one start, and no target."""
        return self.restarts == 1 and self.target is None

    def start(self, images: Images, generator: torch.Generator | None) -> Images:
        """Return where a call would begin: at random places of the ball, or at the images."""
        return self._start(ball_of_norm(images, self.eps, self.norm), generator)

    def continued(
        self, model: Classifier, images: Images, labels: Labels, begun: Images, steps: int
    ) -> tuple[Images, Tensor]:
        """Take further steps from where an attack at a smaller radius ended, until one succeeds.

        Args:
            model: images to logits.
            images: (batch, channels, height, width), without attack.
            labels: int64 (batch,), the true classes.
            begun: shaped like the images, where to begin; projected onto the ball.
            steps: at most; of the size of this attack's own.

        Returns:
            The first images that the model gets wrong, of others the last; and which are wrong,
            bool (batch,).

        Raises:
            HyperparameterError: the attack is not ``is_continuable``.
            ImageError, LabelError, ModelError: as a call.
        """
        if not self.is_continuable:
            raise HyperparameterError(
                "expected PGD with restarts=1 and no target to continue, got restarts="
                f"{self.restarts}, target={self.target!r}"
            )
        goal = next(self._goals(model, images, labels, None, None))
        ball = ball_of_norm(images, self.eps, self.norm)
        adversarial = ball.project(begun.detach())
        is_wrong = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        total = torch.zeros((), device=images.device)
        rows = torch.arange(len(images), device=images.device)
        aim, inside, current = goal, ball, adversarial
        for _ in range(steps):
            values, gradient, logits = aim.look(model, current)
            total = total + values.sum()
            hit = logits.argmax(dim=1) != aim.labels
            if bool(hit.any()):
                is_wrong[rows[hit]] = True
                rows, gradient, current = rows[~hit], gradient[~hit], current[~hit]
                if len(rows) == 0:
                    break
                aim, inside = goal.at(rows), ball.at(rows)
            step = inside.steepest(gradient)
            current = inside.project(torch.add(current, step, alpha=self._step))
            adversarial = adversarial.index_copy(0, rows, current)
        check_finite_losses(total.unsqueeze(0))
        if len(rows):
            _, is_wrong[rows] = aim.judge(model, current)
        return adversarial, is_wrong

    @property
    def _step(self) -> float:
        return self.reach * self.eps / self.steps if self.step_size is None else self.step_size

    def _goals(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        targets: Labels | None,
        generator: torch.Generator | None,
    ) -> Iterator[Goal]:
        """Yield one goal, or one for each column of wrong classes with ``target="all"``."""
        if self.target == "all":
            for column in wrong_classes(model, images, labels).unbind(dim=1):
                yield Goal(labels, targets=column, loss=self.loss)
            return
        if self.target == "random":
            targets = random_targets(model, images, labels, generator)
        elif self.target == "least-likely":
            targets = wrong_classes(model, images, labels)[:, -1]
        yield Goal(labels, targets=targets, loss=self.loss)

    def _start(self, ball: PerturbationBall | L2Ball, generator: torch.Generator | None) -> Images:
        return ball.draw_uniform(generator) if self.random_start else ball.images

    def _climb(
        self, model: Classifier, goal: Goal, ball: PerturbationBall | L2Ball, start: Images
    ) -> Images:
        step_size = self._step
        adversarial, total = start, torch.zeros((), device=start.device)
        for _ in range(self.steps):
            values, gradient = goal.ascent(model, adversarial)
            total = total + values
            step = ball.steepest(gradient)
            adversarial = ball.project(torch.add(adversarial, step, alpha=step_size))
        # One look for all steps: sign(NaN) is 0, so a NaN would otherwise end as a weak attack.
        check_finite_losses(total)
        return adversarial

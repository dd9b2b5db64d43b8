"""Surrogate: a network distilled from the model's answers, attacked in the model's place."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.adapted.ascent import check_ascent
from steadygrad.attacks.adapted.distillation import Answers, build_surrogate, fit
from steadygrad.attacks.ball import Norm, PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.l2_ball import L2Ball, ball_of_norm
from steadygrad.attacks.labels import predicted_labels
from steadygrad.attacks.losses import Loss
from steadygrad.attacks.momentum_iterative import MomentumIterative
from steadygrad.attacks.part import attack
from steadygrad.attacks.pgd import PGD
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_finite_losses, check_images, check_labels, check_logits
from steadygrad.draws import integers, uniform

__all__ = ["Surrogate"]

COPIES = 4
"""Perturbed copies of each image that the surrogate learns from at first."""
MARGIN_BEYOND = 1.5
"""Of the balls that copies are drawn from, in parts of eps: the surrogate should know the edge."""


@attack("surrogate", title="Surrogate", family="query", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """Distil a network from the model's answers, attack that, and learn from how the model took it.

    The surrogate sees the images of the batch and perturbed copies of them, never the labels. Each
    round fits it for ``epochs``, attacks it by PGD and by momentum steps, tries the results on the
    model, and adds the model's answers about examples that lead away from its own predictions. The
    model is never differentiated; no mechanism in it can mislead, but the surrogate is a rough
    likeness.

    eps: radius in ``norm``; steps: of PGD on the surrogate, at least 1; rounds, epochs: at least 1.
    loss: climbed on the surrogate, "cross-entropy", "margin" or "dlr".
    Source: Papernot et al., ASIA CCS 2017 (arXiv:1602.02697), with answers instead of decisions
        where the model gives them, and PGD in the place of their one-step augmentation.
    """

    eps: float
    steps: int = 30
    rounds: int = 4
    epochs: int = 8
    loss: Loss = "margin"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        counts = {"steps": self.steps, "rounds": self.rounds, "epochs": self.epochs}
        check_ascent(self.eps, self.norm, self.loss, **counts)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        images = images.detach()
        seeds = integers(0, 1 << 62, labels.shape, generator, device=labels.device)
        own = torch.Generator("cpu").manual_seed(int(seeds[0]))
        answers, decided = Answers(), predicted_labels(model, images)
        ball = ball_of_norm(images, self.eps, self.norm)
        answers.ask(model, images)
        for copy in range(COPIES):
            answers.ask(model, _copy(ball, images, own, is_corner=copy % 2 == 0))
        network = build_surrogate(images, answers.answers[0].shape[1], int(seeds[0]) >> 1)
        goal, found = Goal(labels, loss="margin"), StrongestFound(images)
        likeness = _InFloat32(network)
        for _ in range(self.rounds):
            network.requires_grad_(True).train()
            fit(network, answers, self.epochs, own)
            network.requires_grad_(False).eval()
            for follow in self._attacks():
                candidates = follow(likeness, images, labels, generator=own).to(images.dtype)
                values, is_broken = goal.judge(model, candidates)
                check_finite_losses(values)
                rows = found.unbroken
                found.offer(rows, candidates[rows], values[rows], is_broken[rows])
                if len(found.unbroken) == 0:
                    return found.images
            # Away from what the model says itself: no label plays a part in what is learned.
            astray = self._attacks()[0](likeness, images, decided, generator=own)
            answers.ask(model, astray.to(images.dtype))
        return found.images

    def _attacks(self) -> tuple[PGD, MomentumIterative]:
        return (
            PGD(eps=self.eps, norm=self.norm, steps=self.steps, loss=self.loss),
            MomentumIterative(eps=self.eps, norm=self.norm, steps=10),
        )


def _copy(
    ball: PerturbationBall | L2Ball, images: Images, own: torch.Generator, *, is_corner: bool
) -> Images:
    """Return the images with blocks of noise on them, up to somewhat beyond the ball."""
    noise = 2 * uniform(images.shape, own, dtype=images.dtype, device=images.device) - 1
    if is_corner:
        noise = noise.sign()
    reach = ball.eps * MARGIN_BEYOND
    if isinstance(ball, L2Ball):
        reach /= images[0].numel() ** 0.5
    return (images + reach * noise).clamp(0, 1)


class _InFloat32:
    """A network that answers images of any dtype."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def __call__(self, images: Images) -> Logits:
        logits: Tensor = self.network(images.float())
        check_logits(logits, len(images))
        return logits

"""A positive control: whether an attack finds adversarial examples that are known to be there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = ["PlantedExamples"]

_FEWEST = 8
"""Examples with a planted neighbour, below which a fraction says nothing."""

_INNER = {"linf": 0.9, "l2": 0.5}
"""Radius of the neighbours that are not adversarial, as a share of eps."""

_GAP = 0.9
"""Where the boundary lies on the way from the furthest of these to the planted one."""


@diagnostic(
    "planted-examples",
    question="Does an attack find adversarial examples that are known to be there?",
    unit="fraction of planted adversarial examples that PGD does not find",
    role="symptom",
    cause="misleading gradients",
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class PlantedExamples(Diagnostic):
    """Give each image a boundary of its own, with an example behind it, and attack across it.

    Around an image, logits are computed at random points within the ball and at one on its surface.
    A linear function of the logits separates that one from all others and from the image: behind
    its boundary lies an adversarial example by construction. PGD on this function, through the
    whole model, has to find one. Images whose logits cannot be separated are left out, and so are
    those where one of a few random points of the surface crosses the boundary too.

    Args:
        threshold: of the fraction that is not found.
        points: random points around each image that are on its side of the boundary.
        tries: random points of the surface that have to be on that side too.
        steps: of PGD.
        examples: images at most.

    Source: Zimmermann, Brendel, Tramer & Carlini, NeurIPS 2022 (arXiv:2206.13991), where the
        function is trained on features before the last layer; here it is the best linear
        discriminant of the logits, so that what hides behind them is met as well.
    """

    threshold: float = 0.25
    points: int = 200
    tries: int = 50
    steps: int = 50
    examples: int = 32

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if sample.is_random:
            return self.untested("The model is random: its logits have no fixed boundary.")
        images = sample.images[: self.examples]
        generator = derived_generator(sample.subject.seed, "planted-examples")
        planted = self._planted(sample, images, generator)
        rows = planted.rows
        if len(rows) < _FEWEST:
            return self.untested(
                f"Around {len(images) - len(rows)} of {len(images)} images no point could be "
                "told from the others by its logits.",
                {"examples": len(rows)},
            )
        labels = torch.zeros(len(rows), dtype=torch.int64, device=images.device)
        attack = sample.pgd(self.steps, loss="margin")
        found = attack(planted, images[rows], labels, generator=generator).to(images.dtype)
        missed = (planted.score(found) <= 0).double().mean().item()
        return self.answered(
            missed,
            passed="PGD finds nearly all adversarial examples that were planted.",
            suspicious=(
                f"PGD misses {missed:.0%} of the adversarial examples that are known to be there: "
                "attacks with gradients are unfit for this model, whatever accuracy they leave."
            ),
            evidence={"examples": len(rows), "steps": self.steps, "points": self.points},
        )

    def _planted(
        self, sample: Sample, images: Images, generator: torch.Generator
    ) -> "_PlantedBoundaries":
        eps, norm = sample.subject.eps, sample.subject.norm
        inner = ball_of_norm(images, _INNER[norm] * eps, norm)
        around = (inner.draw_uniform(generator) for _ in range(self.points))
        within = [sample.logits(images), *(sample.logits(points) for points in around)]
        clean = torch.stack(within, dim=1).double()  # (n, points + 1, classes)
        outer = ball_of_norm(images, eps, norm)
        planted = sample.logits(outer.draw_surface(generator)).double()
        weights = _discriminants(clean, planted)
        furthest = (clean @ weights.unsqueeze(2)).squeeze(2).amax(dim=1)
        reached = (planted * weights).sum(dim=1)
        gap = reached - furthest
        scale = clean.abs().amax(dim=(1, 2)) * weights.abs().amax(dim=1)
        is_apart = gap > 1e-6 * scale.clamp_min(1e-300)
        bounds = furthest + _GAP * gap
        for _ in range(self.tries):  # where chance crosses the boundary, an attack proves nothing
            chance = sample.logits(outer.draw_surface(generator)).double()
            is_apart &= (chance * weights).sum(dim=1) <= bounds
        rows = is_apart.nonzero().squeeze(1)
        return _PlantedBoundaries(sample.model, rows, weights[rows], bounds[rows], gap[rows])


class _PlantedBoundaries:
    """A classifier for each image: class 1 lies beyond the image's own boundary.

    rows: of the images that have one, int64; weights (rows, classes), bounds and gaps (rows,).
    """

    def __init__(
        self, model: Classifier, rows: Tensor, weights: Tensor, bounds: Tensor, gaps: Tensor
    ) -> None:
        self.model, self.rows = model, rows
        self._weights, self._bounds, self._gaps = weights, bounds, gaps

    def score(self, images: Images) -> Tensor:
        """Return how far beyond the boundary each image lies, in units of the gap."""
        values = (self.model(images).double() * self._weights).sum(dim=1)
        return (values - self._bounds) / self._gaps

    def __call__(self, images: Images) -> Logits:
        score = self.score(images)
        return torch.stack((-score, score), dim=1)


def _discriminants(clean: Tensor, planted: Tensor) -> Tensor:
    """Return ``(S + r I)^-1 (planted - mean)`` of each image, (n, classes).

    clean: logits (n, points, classes), with mean and covariance S; planted (n, classes).
    """
    mean = clean.mean(dim=1)
    centred = clean - mean.unsqueeze(1)
    covariance = centred.mT @ centred / clean.shape[1]
    size = covariance.diagonal(dim1=1, dim2=2).mean(dim=1)
    classes = clean.shape[2]
    ridge = (1e-3 * size + 1e-12).view(-1, 1, 1) * torch.eye(
        classes, dtype=clean.dtype, device=clean.device
    )
    weights: Tensor = torch.linalg.solve(covariance + ridge, planted - mean)
    return weights

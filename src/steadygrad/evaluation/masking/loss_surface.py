"""The loss surface around an image: where the gradient leads, and how straight the way is."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from steadygrad._typing import Images
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.probes import cross_entropies, margins, random_signs
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = [
    "GradientAlignment",
    "GradientDirection",
    "LocalLinearity",
    "LossSurface",
    "loss_surface",
]

POINTS = 21


@dataclass(frozen=True)
class LossSurface:
    """Cross-entropy and margin of one example over a plane through its image.

    Row i, column j belong to ``clamp(x + offsets[j] * u + offsets[i] * v, 0, 1)``: u is the
    steepest direction of the loss in the norm, v a random one; offsets from -2 to 2 eps.

    example: its index in the subject; label: its class.
    cross_entropy, margin: (points, points); below a margin of 0 the model is wrong.
    """

    example: int
    label: int
    eps: float
    offsets: tuple[float, ...]
    cross_entropy: tuple[tuple[float, ...], ...]
    margin: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; six digits of each number are enough for a picture."""
        return {
            "example": self.example,
            "label": self.label,
            "eps": self.eps,
            "offsets": list(self.offsets),
            "cross_entropy": [[float(f"{v:.6g}") for v in row] for row in self.cross_entropy],
            "margin": [[float(f"{v:.6g}") for v in row] for row in self.margin],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "LossSurface":
        """Return the surface that ``to_json`` wrote."""
        return cls(
            example=values["example"],
            label=values["label"],
            eps=values["eps"],
            offsets=tuple(values["offsets"]),
            cross_entropy=tuple(tuple(row) for row in values["cross_entropy"]),
            margin=tuple(tuple(row) for row in values["margin"]),
        )


def loss_surface(sample: Sample, index: int, *, points: int = POINTS) -> LossSurface:
    """Return the surface around the sample's example ``index``, on a grid of ``points`` a side.

    Raises: HyperparameterError, unless ``points`` is odd, so that the image is in the middle.
    """
    if points < 3 or points % 2 == 0:
        raise HyperparameterError(f"expected an odd number of points >= 3, got {points}")
    image, label = sample.images[index : index + 1], sample.labels[index : index + 1]
    eps = sample.subject.eps
    _, gradients = sample.gradient(cross_entropies, sample.images[: index + 1])
    generator = derived_generator(sample.subject.seed, f"loss surface {index}")
    along = _unit_direction(sample, gradients[index:])
    across = _unit_direction(sample, random_signs(image, generator))
    offsets = torch.linspace(-2 * eps, 2 * eps, points, dtype=torch.float64, device="cpu").to(image)
    grids = torch.meshgrid(offsets, offsets, indexing="ij")
    rows, columns = (grid.reshape(-1, 1, 1, 1) for grid in grids)
    logits = sample.logits((image + columns * along + rows * across).clamp_(0, 1))
    labels = label.expand(len(logits))
    return LossSurface(
        example=int(sample.rows[index]),
        label=int(label),
        eps=eps,
        offsets=tuple(offsets.tolist()),
        cross_entropy=_square(cross_entropies(logits, labels), points),
        margin=_square(margins(logits, labels), points),
    )


@diagnostic(
    "gradient-direction",
    question="Does the margin fall further along a random direction than along the gradient?",
    unit="fraction of examples",
    role="symptom",
    cause="misleading gradients",
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class GradientDirection(Diagnostic):
    """Compare steps of eps / 2 along the margin's gradient with steps along random directions.

    Each random direction is a corner of the ball (for L2, a vector of that length), and the best
    of a few counts. The surfaces of two examples are in the evidence, for a picture.
    Source: such surfaces are drawn by Tramèr et al., ICLR 2018 (arXiv:1705.07204), who found
        networks so curved at the images that single steps go astray; the number is ours.
    """

    threshold: float = 0.25
    random_directions: int = 4
    shown: int = 2

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        length = sample.subject.eps / 2
        generator = derived_generator(sample.subject.seed, "gradient direction")
        _, gradient = sample.gradient(margins)
        ways = [-_unit_direction(sample, gradient)] + [
            _unit_direction(sample, random_signs(sample.images, generator))
            for _ in range(self.random_directions)
        ]
        after = [
            margins(sample.logits((sample.images + length * way).clamp(0, 1)), sample.labels)
            for way in ways
        ]
        is_worse = torch.stack(after[1:]).amin(dim=0) < after[0]
        fraction = is_worse.double().mean().item()
        return self.answered(
            fraction,
            passed="The gradient points to where the margin falls, random directions do not.",
            suspicious=(
                f"For {fraction:.0%} of the examples a random direction lowers the margin more "
                "than the gradient does: the gradient is no guide."
            ),
            evidence={
                "examples": len(sample),
                "random_directions": self.random_directions,
                "surfaces": [
                    loss_surface(sample, index).to_json()
                    for index in range(min(self.shown, len(sample)))
                ],
            },
        )


def _unit_direction(sample: Sample, gradient: Tensor) -> Images:
    """Return the steepest direction of length 1 in the subject's norm."""
    return ball_of_norm(gradient, 1.0, sample.subject.norm).steepest(gradient)


def _square(values: Tensor, points: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.reshape(points, points).tolist())


@diagnostic(
    "local-linearity",
    question="Is the margin so irregular around the images that its gradient is uninformative?",
    unit="median departure from the tangent, in parts of what the tangent itself can change",
    role="hint",
    cause="crooked loss surface",
    asks_for=("smoothed-gradient",),
)
@dataclass(frozen=True, kw_only=True)
class LocalLinearity(Diagnostic):
    """Measure ``max over d of |f(x + d) - f(x) - d . grad f(x)|``, relative, d in the ball.

    The maximum is sought by gradient steps, as an attack would; relative means divided by the
    largest ``|d . grad f(x)|`` in the ball, pixel range aside. It is 0 for a linear model. f is
    the margin: the cross-entropy bends by itself, even over a linear model.
    Source: Qin et al., NeurIPS 2019 (arXiv:1907.02610), there of the cross-entropy.
    """

    threshold: float = 5.0
    examples: int = 64
    steps: int = 10

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        images, labels = sample.images[: self.examples], sample.labels[: self.examples]
        ball = ball_of_norm(images, sample.subject.eps, sample.subject.norm)
        start, gradient = sample.gradient(margins, images)
        moved = ball.draw_uniform(derived_generator(sample.subject.seed, "local linearity"))
        step_size = 2 * sample.subject.eps / self.steps

        def tangent(at: Images) -> Tensor:
            return start + (gradient * (at - images)).flatten(start_dim=1).sum(dim=1)

        for _ in range(self.steps):
            values, slope = sample.gradient(margins, moved)
            way = (values - tangent(moved)).sign().view(-1, 1, 1, 1) * (slope - gradient)
            moved = ball.project(moved + step_size * ball.steepest(way))
        values = margins(sample.logits(moved), labels)
        errors = (values - tangent(moved)).abs()
        reach = tangent(images + sample.subject.eps * ball.steepest(gradient)) - start
        has_any = reach > 0
        if not has_any.any():
            return self.untested("No example has a gradient to depart from.")
        relative = (errors / reach)[has_any]
        return self.answered(
            float(relative.median()),
            passed="The margin follows its tangent well enough for gradients to mean something.",
            suspicious=(
                "Within the ball the margin has little to do with its gradient at the image: "
                "attacks need many small steps and restarts, and may fail all the same."
            ),
            evidence={
                "examples": len(relative),
                "steps": self.steps,
                "median_absolute_error": float(errors.median()),
                "median_margin": float(start.median()),
            },
        )


@diagnostic(
    "gradient-alignment",
    question="Does the gradient turn away completely at a random point beside the image?",
    unit="one minus the median cosine of both gradients",
    role="hint",
    cause="crooked loss surface",
    asks_for=("smoothed-gradient",),
)
@dataclass(frozen=True, kw_only=True)
class GradientAlignment(Diagnostic):
    """Measure ``1 - cos(grad f(x), grad f(x + d))``, d uniform in the ball, f the margin.

    Source: Andriushchenko & Flammarion, NeurIPS 2020 (arXiv:2007.02617), there of the
        cross-entropy.
    """

    threshold: float = 0.95

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        subject = sample.subject
        ball = ball_of_norm(sample.images, subject.eps, subject.norm)
        beside = ball.draw_uniform(derived_generator(subject.seed, "gradient alignment"))
        here, there = (
            sample.gradient(margins, at)[1].flatten(start_dim=1) for at in (ball.images, beside)
        )
        has_both = (here != 0).any(dim=1) & (there != 0).any(dim=1)
        if not has_both.any():
            return self.untested("No example has a gradient at both points.")
        cosines = cosine_similarity(here, there, dim=1)[has_both]
        return self.answered(
            1 - float(cosines.median()),
            passed="Gradients beside an image resemble the one at it.",
            suspicious=(
                "Beside an image the gradient points somewhere else altogether: single steps are "
                "worthless, and iterative attacks wander."
            ),
            evidence={"examples": int(has_both.sum()), "lowest_cosine": float(cosines.min())},
        )

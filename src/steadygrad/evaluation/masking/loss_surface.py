"""The loss surface around an image, along the gradient and a random direction."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import cross_entropies, margins
from steadygrad.evaluation.masking.probe_points import random_signs
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = ["GRADIENT_DIRECTION", "LossSurface", "gradient_direction", "loss_surface"]

RANDOM_DIRECTIONS = 4
POINTS = 21
SHOWN = 2

GRADIENT_DIRECTION = Question(
    name="gradient-direction",
    text="Does the margin fall further along a random direction than along the gradient?",
    threshold=0.25,
    unit="fraction of examples",
)


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
    offsets = torch.linspace(-2 * eps, 2 * eps, points, dtype=torch.float64).to(image)
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


def gradient_direction(sample: Sample) -> Finding:
    """Compare steps of eps / 2 along the margin's gradient with steps along random directions.

    Each random direction is a corner of the ball (for L2, a vector of that length), and the best
    of a few counts. The surfaces of two examples are in the evidence, for a picture.
    Source: such surfaces are drawn by Tramèr et al., ICLR 2018 (arXiv:1705.07204), who found
        networks so curved at the images that single steps go astray; the number is ours.
    """
    length = sample.subject.eps / 2
    generator = derived_generator(sample.subject.seed, "gradient direction")
    _, gradient = sample.gradient(margins)
    ways = [-_unit_direction(sample, gradient)] + [
        _unit_direction(sample, random_signs(sample.images, generator))
        for _ in range(RANDOM_DIRECTIONS)
    ]
    after = [
        margins(sample.logits((sample.images + length * way).clamp(0, 1)), sample.labels)
        for way in ways
    ]
    is_worse = torch.stack(after[1:]).amin(dim=0) < after[0]
    fraction = is_worse.double().mean().item()
    return GRADIENT_DIRECTION.answered(
        fraction,
        passed="The gradient points to where the margin falls, random directions do not.",
        suspicious=(
            f"For {fraction:.0%} of the examples a random direction lowers the margin more than "
            "the gradient does: the gradient is no guide."
        ),
        evidence={
            "examples": len(sample),
            "random_directions": RANDOM_DIRECTIONS,
            "surfaces": [
                loss_surface(sample, index).to_json() for index in range(min(SHOWN, len(sample)))
            ],
        },
    )


def _unit_direction(sample: Sample, gradient: Tensor) -> Images:
    """Return the steepest direction of length 1 in the subject's norm."""
    return ball_of_norm(gradient, 1.0, sample.subject.norm).steepest(gradient)


def _square(values: Tensor, points: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.reshape(points, points).tolist())

"""Slopes: outputs that do not move with the input, and gradients that are not the slope."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.probes import margins, random_signs, within_range
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.seeds import derived_generator

__all__ = [
    "FiniteDifferences",
    "Staircase",
]

SMALLEST_IN_FLOAT32 = 3e-5
"""Steps below this drown in the rounding of pixels and logits."""


@diagnostic(
    "staircase",
    question="Do the outputs stay exactly the same while the input moves a little?",
    unit="fraction of tiny steps that change no logit",
    role="mechanism",
    cause="input quantisation",
    asks_for=("straight-through", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class Staircase(Diagnostic):
    """Move every pixel by ``± h``, and count how often not one bit of the logits changes.

    With pixels rounded to steps of size s, a move of all d pixels by h crosses no step with
    probability about ``exp(-d h / s)``. ``h = eps / 10 d`` makes that ``exp(-eps / 10 s)``: above
    the threshold for steps wider than a seventh of eps, that is wherever rounding could hide what
    an attack looks for. Smooth and piecewise linear networks answer to every move in float64.
    Source: shattered gradients, Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420),
        section 3; the test and its size are ours.
    """

    threshold: float = 0.5
    examples: int = 32
    directions: int = 4

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if not sample.holds_still:
            return self.untested("The model answers differently in every pass.")
        model, images = sample.precise(self.examples)
        pixels = images[0].numel()
        radius = sample.subject.eps / (1 if sample.subject.norm == "linf" else pixels**0.5)
        smallest = radius / (10 * pixels)
        if images.dtype != torch.float64:
            smallest = max(smallest, SMALLEST_IN_FLOAT32)
        generator = derived_generator(sample.subject.seed, "staircase")
        images = within_range(images, generator)
        directions = [random_signs(images, generator) for _ in range(self.directions)]
        before = sample.logits(images, model=model)

        def unchanged(size: float) -> float:
            moved = [sample.logits(images + size * way, model=model) for way in directions]
            same = [(after == before).all(dim=1).double().mean().item() for after in moved]
            return sum(same) / len(same)

        fraction = unchanged(smallest)
        return self.answered(
            fraction,
            passed="The outputs answer to every move of the input, however small.",
            suspicious=(
                f"{fraction:.0%} of moves by {smallest:.1g} change nothing at all: the input (or "
                "an activation) is rounded. Whatever gradient such a model reports is zero or made "
                "up; attack it without the rounding, or with a smooth stand-in for it (BPDA)."
            ),
            evidence={
                "examples": len(images),
                "directions": self.directions,
                "precision": str(images.dtype).removeprefix("torch."),
                "unchanged_by_size": {
                    f"{size:.3g}": unchanged(size)
                    for size in (smallest, radius / 1000, radius / 100, radius / 10, radius)
                },
            },
        )


SIZE, SIZE_IN_FLOAT32 = 1e-6, 1e-3


@diagnostic(
    "finite-differences",
    question="Is the gradient that autograd reports the slope of the model?",
    unit="median relative difference of slope and gradient",
    role="mechanism",
    cause="false gradients",
    essential=True,
    explained_by=("input quantisation",),
    asks_for=("straight-through", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class FiniteDifferences(Diagnostic):
    """Compare ``s = (f(x + h v) - f(x - h v)) / 2h`` with ``t = v . grad f``.

    f is the margin, the label's logit minus the highest other one, which no softmax saturates; v
    the gradient's sign, then a random sign vector. An example's difference is the larger of both
    ``|s - t| / max(|s|, |t|)``, for the random vector with ``|grad f|_2`` under the maximum too,
    the size that its slope has on average; 0 where slope and gradient are both zero. It is taken
    with h tiny and with h a tenth of eps (per pixel), and the smaller median counts: what looks
    like steps under the microscope, such as straight-through rounding to 256 levels, may still be
    a slope at the size of an attack.
    Source: Carlini et al., arXiv:1902.06705, evaluation checklist. A gradient that is not the
        slope is a straight-through estimate, a detached branch or a mistake.
    """

    threshold: float = 0.1
    examples: int = 32

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if not sample.holds_still:
            return self.untested("The model answers differently in every pass.")
        model, images = sample.precise(self.examples)
        subject = sample.subject
        pixel_eps = subject.eps / (1 if subject.norm == "linf" else images[0].numel() ** 0.5)
        sizes = (SIZE if images.dtype == torch.float64 else SIZE_IN_FLOAT32, pixel_eps / 10)
        generator = derived_generator(subject.seed, "finite differences")
        images = within_range(images, generator)
        _, gradient = sample.gradient(margins, images, model=model)
        along = _Slopes(sample, model, images, gradient, gradient.sign())
        across = _Slopes(sample, model, images, gradient, random_signs(images, generator))
        typical = gradient.flatten(start_dim=1).norm(dim=1)
        medians = [
            float(
                torch.maximum(
                    along.differences(size, torch.zeros_like(typical)),
                    across.differences(size, typical),
                ).median()
            )
            for size in sizes
        ]
        measured = min(medians)
        return self.answered(
            measured,
            passed=f"Gradients are the model's own slopes.{_complex_layers(sample.subject.model)}",
            suspicious=(
                "The gradient that autograd reports is not the slope of the model: part of the "
                "computation hides from it, or replaces it (a straight-through estimate, a "
                "detached branch). Attacks climb another function than the model."
            ),
            evidence={
                "examples": len(images),
                "precision": str(images.dtype).removeprefix("torch."),
                "median_difference_by_size": _by_size(sizes, medians),
                "median_slope_over_gradient_by_size": _by_size(
                    sizes, [along.median_ratio(size) for size in sizes]
                ),
            },
        )


class _Slopes:
    """Slopes of the margin along ``directions``, measured and as the gradient has them."""

    def __init__(
        self,
        sample: Sample,
        model: Classifier,
        images: Images,
        gradient: Tensor,
        directions: Tensor,
    ) -> None:
        self.sample, self.model, self.images, self.directions = sample, model, images, directions
        self.claimed = (gradient * directions).flatten(start_dim=1).sum(dim=1)

    def measured(self, size: float) -> Tensor:
        labels, step = self.sample.labels[: len(self.images)], size * self.directions
        ahead, behind = (
            margins(self.sample.logits(images, model=self.model), labels)
            for images in (self.images + step, self.images - step)
        )
        return (ahead - behind) / (2 * size)

    def differences(self, size: float, typical: Tensor) -> Tensor:
        slope = self.measured(size)
        scale = torch.maximum(torch.maximum(slope.abs(), self.claimed.abs()), typical)
        return torch.where(scale > 0, (slope - self.claimed).abs() / scale, 0.0)

    def median_ratio(self, size: float) -> float | None:
        has_gradient = self.claimed != 0
        if not has_gradient.any():
            return None
        return float((self.measured(size)[has_gradient] / self.claimed[has_gradient]).median())


def _by_size(sizes: Sequence[float], values: Sequence[float | None]) -> dict[str, float | None]:
    return {f"{size:.3g}": value for size, value in zip(sizes, values, strict=True)}


def _complex_layers(model: Classifier) -> str:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    layers = [module for module in modules if isinstance(module, ComplexConv2d | ComplexLinear)]
    if not layers:
        return ""
    rule = (
        " (frozen phase, the rule some of them were trained with, changes second derivatives alone)"
        if any(layer.second_order == "frozen_phase" for layer in layers)
        else ""
    )
    return (
        f" That holds for its {len(layers)} complex layers too: attacks differentiate them "
        f"exactly{rule}."
    )

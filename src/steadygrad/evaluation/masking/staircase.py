"""Staircase test: outputs that stay the same to the last bit while the input moves."""

import torch

from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.probe_points import random_signs, within_range
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = ["STAIRCASE", "staircase"]

EXAMPLES = 32
DIRECTIONS = 4
SMALLEST_IN_FLOAT32 = 3e-5
"""Steps below this drown in the rounding of pixels and logits."""

STAIRCASE = Question(
    name="staircase",
    text="Do the outputs stay exactly the same while the input moves a little?",
    threshold=0.5,
    unit="fraction of tiny steps that change no logit",
)


def staircase(sample: Sample) -> Finding:
    """Move every pixel by ``± h``, and count how often not one bit of the logits changes.

    With pixels rounded to steps of size s, a move of all d pixels by h crosses no step with
    probability about ``exp(-d h / s)``. ``h = eps / 10 d`` makes that ``exp(-eps / 10 s)``: above
    the threshold for steps wider than a seventh of eps, that is wherever rounding could hide what
    an attack looks for. Smooth and piecewise linear networks answer to every move in float64.
    Source: shattered gradients, Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420),
        section 3; the test and its size are ours.
    """
    if not sample.holds_still:
        return STAIRCASE.untested("The model answers differently in every pass.")
    model, images = sample.precise(EXAMPLES)
    pixels = images[0].numel()
    radius = sample.subject.eps / (1 if sample.subject.norm == "linf" else pixels**0.5)
    smallest = radius / (10 * pixels)
    if images.dtype != torch.float64:
        smallest = max(smallest, SMALLEST_IN_FLOAT32)
    generator = derived_generator(sample.subject.seed, "staircase")
    images = within_range(images, generator)
    directions = [random_signs(images, generator) for _ in range(DIRECTIONS)]
    before = sample.logits(images, model=model)

    def unchanged(size: float) -> float:
        moved = [sample.logits(images + size * way, model=model) for way in directions]
        same = [(after == before).all(dim=1).double().mean().item() for after in moved]
        return sum(same) / len(same)

    fraction = unchanged(smallest)
    return STAIRCASE.answered(
        fraction,
        passed="The outputs answer to every move of the input, however small.",
        suspicious=(
            f"{fraction:.0%} of moves by {smallest:.1g} change nothing at all: the input (or an "
            "activation) is rounded. Whatever gradient such a model reports is zero or made up; "
            "attack it without the rounding, or with a smooth stand-in for it (BPDA)."
        ),
        evidence={
            "examples": len(images),
            "directions": DIRECTIONS,
            "precision": str(images.dtype).removeprefix("torch."),
            "unchanged_by_size": {
                f"{size:.3g}": unchanged(size)
                for size in (smallest, radius / 1000, radius / 100, radius / 10, radius)
            },
        },
    )

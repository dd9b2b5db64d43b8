"""Gradient alignment: how much the gradient at an image resembles that beside it."""

from torch.nn.functional import cosine_similarity

from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import margins
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = ["GRADIENT_ALIGNMENT", "gradient_alignment"]

GRADIENT_ALIGNMENT = Question(
    name="gradient-alignment",
    text="Does the gradient turn away completely at a random point beside the image?",
    threshold=0.95,
    unit="one minus the median cosine of both gradients",
)


def gradient_alignment(sample: Sample) -> Finding:
    """Measure ``1 - cos(grad f(x), grad f(x + d))``, d uniform in the ball, f the margin.

    Source: Andriushchenko & Flammarion, NeurIPS 2020 (arXiv:2007.02617), there of the
        cross-entropy.
    """
    subject = sample.subject
    ball = ball_of_norm(sample.images, subject.eps, subject.norm)
    beside = ball.draw_uniform(derived_generator(subject.seed, "gradient alignment"))
    here, there = (
        sample.gradient(margins, at)[1].flatten(start_dim=1) for at in (ball.images, beside)
    )
    has_both = (here != 0).any(dim=1) & (there != 0).any(dim=1)
    if not has_both.any():
        return GRADIENT_ALIGNMENT.untested("No example has a gradient at both points.")
    cosines = cosine_similarity(here, there, dim=1)[has_both]
    return GRADIENT_ALIGNMENT.answered(
        1 - float(cosines.median()),
        passed="Gradients beside an image resemble the one at it.",
        suspicious=(
            "Beside an image the gradient points somewhere else altogether: single steps are "
            "worthless, and iterative attacks wander."
        ),
        evidence={"examples": int(has_both.sum()), "lowest_cosine": float(cosines.min())},
    )

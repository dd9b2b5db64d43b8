"""Local linearity: how far the margin strays from its tangent within the ball."""

from torch import Tensor

from steadygrad._typing import Images
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import margins
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.seeds import derived_generator

__all__ = ["LOCAL_LINEARITY", "local_linearity"]

EXAMPLES = 64
STEPS = 10

LOCAL_LINEARITY = Question(
    name="local-linearity",
    text="Is the margin so crooked around the images that its gradient says little?",
    threshold=5.0,
    unit="median departure from the tangent, in parts of what the tangent itself can change",
)


def local_linearity(sample: Sample) -> Finding:
    """Measure ``max over d of |f(x + d) - f(x) - d . grad f(x)|``, relative, d in the ball.

    The maximum is sought by gradient steps, as an attack would; relative means divided by the
    largest ``|d . grad f(x)|`` in the ball, pixel range aside. It is 0 for a linear model. f is
    the margin: the cross-entropy bends by itself, even over a linear model.
    Source: Qin et al., NeurIPS 2019 (arXiv:1907.02610), there of the cross-entropy.
    """
    images, labels = sample.images[:EXAMPLES], sample.labels[:EXAMPLES]
    ball = ball_of_norm(images, sample.subject.eps, sample.subject.norm)
    start, gradient = sample.gradient(margins, images)
    moved = ball.draw_uniform(derived_generator(sample.subject.seed, "local linearity"))
    step_size = 2 * sample.subject.eps / STEPS

    def tangent(at: Images) -> Tensor:
        return start + (gradient * (at - images)).flatten(start_dim=1).sum(dim=1)

    for _ in range(STEPS):
        values, slope = sample.gradient(margins, moved)
        way = (values - tangent(moved)).sign().view(-1, 1, 1, 1) * (slope - gradient)
        moved = ball.project(moved + step_size * ball.steepest(way))
    values = margins(sample.logits(moved), labels)
    errors = (values - tangent(moved)).abs()
    reach = tangent(images + sample.subject.eps * ball.steepest(gradient)) - start
    has_any = reach > 0
    if not has_any.any():
        return LOCAL_LINEARITY.untested("No example has a gradient to depart from.")
    relative = (errors / reach)[has_any]
    return LOCAL_LINEARITY.answered(
        float(relative.median()),
        passed="The margin follows its tangent well enough for gradients to mean something.",
        suspicious=(
            "Within the ball the margin has little to do with its gradient at the image: attacks "
            "need many small steps and restarts, and may fail all the same."
        ),
        evidence={
            "examples": len(relative),
            "steps": STEPS,
            "median_absolute_error": float(errors.median()),
            "median_margin": float(start.median()),
        },
    )

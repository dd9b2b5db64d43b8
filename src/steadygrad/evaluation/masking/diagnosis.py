"""Every diagnostic of gradient masking on one subject, and the verdict."""

from collections.abc import Callable

import torch

from steadygrad.evaluation.masking.black_box import BLACK_BOX, black_box_beats_white_box
from steadygrad.evaluation.masking.ensemble_gap import ENSEMBLE_GAP, ensemble_gap
from steadygrad.evaluation.masking.finding import Finding, Verdict
from steadygrad.evaluation.masking.finite_differences import (
    FINITE_DIFFERENCES,
    finite_differences,
)
from steadygrad.evaluation.masking.float64_gradients import FLOAT64_GRADIENTS, float64_gradients
from steadygrad.evaluation.masking.gradient_alignment import GRADIENT_ALIGNMENT, gradient_alignment
from steadygrad.evaluation.masking.local_linearity import LOCAL_LINEARITY, local_linearity
from steadygrad.evaluation.masking.logit_scale import (
    LOGIT_SCALE,
    MARGIN_LOSS,
    logit_scale,
    margin_loss,
)
from steadygrad.evaluation.masking.longer_attacks import (
    CONVERGENCE,
    MORE_RESTARTS,
    MORE_STEPS,
    convergence,
    more_restarts,
    more_steps,
)
from steadygrad.evaluation.masking.loss_surface import GRADIENT_DIRECTION, gradient_direction
from steadygrad.evaluation.masking.one_step import ONE_STEP, one_step_beats_iterative
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.radius import (
    RISING_ACCURACY,
    UNBOUNDED_EPS,
    rising_accuracy,
    unbounded_eps,
)
from steadygrad.evaluation.masking.randomness import (
    EXPECTATION,
    RANDOMNESS,
    expectation_over_randomness,
    randomness,
)
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.masking.staircase import STAIRCASE, staircase
from steadygrad.evaluation.masking.subject import Subject
from steadygrad.evaluation.masking.verdict import verdict
from steadygrad.evaluation.masking.zero_gradients import (
    SOFTMAX_SATURATION,
    ZERO_GRADIENT_PIXELS,
    ZERO_GRADIENTS,
    softmax_saturation,
    zero_gradient_pixels,
    zero_gradients,
)
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derive_seed

__all__ = ["diagnose", "diagnostic_names"]

_DIAGNOSTICS: tuple[tuple[Question, Callable[[Sample], Finding]], ...] = (
    (RANDOMNESS, randomness),
    (EXPECTATION, expectation_over_randomness),
    (STAIRCASE, staircase),
    (FINITE_DIFFERENCES, finite_differences),
    (ZERO_GRADIENTS, zero_gradients),
    (SOFTMAX_SATURATION, softmax_saturation),
    (ZERO_GRADIENT_PIXELS, zero_gradient_pixels),
    (FLOAT64_GRADIENTS, float64_gradients),
    (LOGIT_SCALE, logit_scale),
    (MARGIN_LOSS, margin_loss),
    (MORE_STEPS, more_steps),
    (CONVERGENCE, convergence),
    (MORE_RESTARTS, more_restarts),
    (ONE_STEP, one_step_beats_iterative),
    (BLACK_BOX, black_box_beats_white_box),
    (ENSEMBLE_GAP, ensemble_gap),
    (UNBOUNDED_EPS, unbounded_eps),
    (RISING_ACCURACY, rising_accuracy),
    (GRADIENT_DIRECTION, gradient_direction),
    (LOCAL_LINEARITY, local_linearity),
    (GRADIENT_ALIGNMENT, gradient_alignment),
)
NOTHING_RIGHT = "No example is right without an attack: there is nothing to break."


def diagnostic_names() -> tuple[str, ...]:
    """Return the names of all diagnostics, in the order in which they run."""
    return tuple(question.name for question, _ in _DIAGNOSTICS)


def diagnose(subject: Subject) -> tuple[tuple[Finding, ...], Verdict]:
    """Run every diagnostic on the subject; return their findings, in order, and the verdict.

    The model is in eval mode meanwhile, and afterwards as it was; so is torch's global generator,
    which is seeded meanwhile, so that a model that draws from it gives the same findings twice.

    Raises: ModelError, if the outputs are no finite logits.
    """
    with (
        evaluation_mode(subject.model),
        torch.random.fork_rng(devices=[subject.place] if subject.place.type == "cuda" else []),
    ):
        torch.manual_seed(derive_seed(subject.seed, "diagnosis"))
        sample, findings = Sample(subject), []
        for done, (question, diagnostic) in enumerate(_DIAGNOSTICS):
            if subject.progress is not None:
                subject.progress(question.name, done, len(_DIAGNOSTICS))
            is_possible = len(sample) > 0
            findings.append(diagnostic(sample) if is_possible else question.untested(NOTHING_RIGHT))
    if subject.progress is not None:
        subject.progress("done", len(_DIAGNOSTICS), len(_DIAGNOSTICS))
    return tuple(findings), verdict(subject, findings)

"""One step against many: an iterative attack should break whatever a single step breaks."""

from steadygrad.attacks import FGSM
from steadygrad.evaluation.masking.contest import contest
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["ONE_STEP", "one_step_beats_iterative"]

ONE_STEP = Question(
    name="one-step-beats-iterative",
    text="Does a single step break examples that many steps cannot?",
    threshold=2.0,
    unit="points of accuracy",
)


def one_step_beats_iterative(sample: Sample) -> Finding:
    """Count the examples that FGSM breaks and no iterative attack does, long ones included.

    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3.1; Carlini et al.,
        arXiv:1902.06705, evaluation checklist.
    """
    subject = sample.subject
    own = (FGSM(eps=subject.eps, norm=subject.norm),)
    result = contest(sample, {"one-step"}, {"white-box", "ensemble"}, own)
    return ONE_STEP.answered(
        result.points,
        passed="Iterative attacks break what one step breaks, as they should.",
        suspicious=(
            f"One step breaks {result.unexplained} of {result.n} examples that iterative attacks, "
            "with many steps and restarts, cannot: gradients near the images lead attacks astray."
        ),
        evidence=result.evidence,
    )

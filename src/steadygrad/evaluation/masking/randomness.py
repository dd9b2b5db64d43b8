"""Randomness: whether one image gets one answer, and what averaging gradients breaks."""

from dataclasses import dataclass

from steadygrad.attacks.mean_answers import MeanAnswers
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import EQUAL_PASSES, Sample

__all__ = ["ExpectationOverRandomness", "Randomness"]


@diagnostic(
    "randomness",
    question="Do two passes on the same image give different outputs or gradients?",
    unit="difference of two passes, in parts of the logits' spread or the gradient's size",
    role="mechanism",
    cause="randomness",
    essential=True,
    asks_for=("expectation",),
)
@dataclass(frozen=True, kw_only=True)
class Randomness(Diagnostic):
    """Compare two passes on the same images, logits and gradients.

    A model whose every pass differs gives an attack the gradient of another model each time
    ("stochastic gradients"), and has no accuracy on one image, only a probability.
    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3. The threshold is
        that of AutoAttack's check (Croce & Hein, ICML 2020; checks.py, ``check_randomized``),
        which leaves room for the order of sums on a GPU.
    """

    threshold: float = EQUAL_PASSES

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        difference = sample.pass_difference
        return self.answered(
            max(difference.logits, difference.gradients),
            passed="Two passes agree: an image has one answer and one gradient.",
            suspicious=(
                "Every pass draws new random numbers, so the gradient of one pass is not that "
                "of the next: attack with gradients averaged over passes, and switch randomness "
                "off to see how much robustness remains."
            ),
            evidence={
                "examples": len(sample),
                "logits": difference.logits,
                "gradients": difference.gradients,
                "holds_still_with_fixed_seed": sample.holds_still,
            },
        )


@diagnostic(
    "expectation-over-randomness",
    question="Does an attack that averages the randomness away break more?",
    unit="points of accuracy that averaging gradients takes off",
    role="mechanism",
    cause="randomness",
    asks_for=("expectation",),
)
@dataclass(frozen=True, kw_only=True)
class ExpectationOverRandomness(Diagnostic):
    """Compare PGD on single passes with PGD on logits averaged over passes, on random models.

    Both are judged by averaged logits.
    Source: expectation over transformation, Athalye, Engstrom, Ilyas & Kwok, ICML 2018
        (arXiv:1707.07397); advised for random defences by Athalye, Carlini & Wagner,
        ICML 2018, section 4.2.
    """

    threshold: float = 5.0
    steps: int = 20
    draws: int = 8

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if not sample.is_random:
            return self.untested("The model is not random: there is nothing to average.")
        attack = sample.pgd(self.steps)
        single = sample.broken_by(attack).double().mean().item()
        averaged = (
            sample.broken_by(attack, MeanAnswers(sample.model, self.draws)).double().mean().item()
        )
        return self.answered(
            100 * (averaged - single),
            passed=(
                "Averaging gradients over passes does not help the attack much: at this radius the "
                "randomness hides little."
            ),
            suspicious=(
                "An attack with averaged gradients breaks clearly more: the randomness misleads "
                "ordinary attacks, and their accuracy is too high."
            ),
            evidence={
                "examples": len(sample),
                "steps": self.steps,
                "draws": self.draws,
                "accuracy_single": 1 - single,
                "accuracy_averaged": 1 - averaged,
            },
        )

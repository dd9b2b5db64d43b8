"""Randomness: whether one image gets one answer, and what averaging gradients breaks."""

import torch

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import EQUAL_PASSES, Sample

__all__ = ["EXPECTATION", "RANDOMNESS", "expectation_over_randomness", "randomness"]

DRAWS = 8
STEPS = 20

RANDOMNESS = Question(
    name="randomness",
    text="Do two passes on the same image give different outputs or gradients?",
    threshold=EQUAL_PASSES,
    unit="difference of two passes, in parts of the logits' spread or the gradient's size",
)
EXPECTATION = Question(
    name="expectation-over-randomness",
    text="Does an attack that averages the randomness away break more?",
    threshold=5.0,
    unit="points of accuracy that averaging gradients takes off",
)


def randomness(sample: Sample) -> Finding:
    """Compare two passes on the same images, logits and gradients.

    A model whose every pass differs gives an attack the gradient of another model each time
    ("stochastic gradients"), and has no accuracy on one image, only a probability.
    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3. The threshold is
        that of AutoAttack's check (Croce & Hein, ICML 2020; checks.py, ``check_randomized``),
        which leaves room for the order of sums on a GPU.
    """
    difference = sample.pass_difference
    return RANDOMNESS.answered(
        max(difference.logits, difference.gradients),
        passed="Two passes agree: an image has one answer and one gradient.",
        suspicious=(
            "Every pass draws something new. A single gradient belongs to a model that is gone by "
            "the next step: attack with gradients averaged over passes, and switch the randomness "
            "off to see what robustness is left."
        ),
        evidence={
            "examples": len(sample),
            "logits": difference.logits,
            "gradients": difference.gradients,
            "holds_still_with_fixed_seed": sample.holds_still,
        },
    )


def expectation_over_randomness(sample: Sample) -> Finding:
    """Compare PGD on single passes with PGD on logits averaged over passes, on random models.

    Both are judged by averaged logits.
    Source: expectation over transformation, Athalye, Engstrom, Ilyas & Kwok, ICML 2018
        (arXiv:1707.07397); advised for random defences by Athalye, Carlini & Wagner,
        ICML 2018, section 4.2.
    """
    if not sample.is_random:
        return EXPECTATION.untested("The model is not random: there is nothing to average.")
    attack = sample.pgd(STEPS)
    single = sample.broken_by(attack).double().mean().item()
    averaged = sample.broken_by(attack, _Averaged(sample.model)).double().mean().item()
    return EXPECTATION.answered(
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
            "steps": STEPS,
            "draws": DRAWS,
            "accuracy_single": 1 - single,
            "accuracy_averaged": 1 - averaged,
        },
    )


class _Averaged:
    """The mean of a random model's logits over several passes."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def __call__(self, images: Images) -> Logits:
        return torch.stack([self.model(images) for _ in range(DRAWS)]).mean(dim=0)

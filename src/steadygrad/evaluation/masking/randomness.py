"""Randomness: whether one image gets one answer, and what averaging gradients breaks."""

import torch
from torch.nn.functional import cosine_similarity

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import cross_entropies
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import EQUAL_LOGITS, Sample

__all__ = ["EXPECTATION", "RANDOMNESS", "expectation_over_randomness", "randomness"]

DRAWS = 8
STEPS = 20

RANDOMNESS = Question(
    name="randomness",
    text="Does the model answer the same image differently from one pass to the next?",
    threshold=EQUAL_LOGITS,
    unit="largest difference of two passes' logits, in parts of their spread",
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
    first, second = (sample.gradient(cross_entropies)[1] for _ in range(2))
    alike = cosine_similarity(first.flatten(1), second.flatten(1)).median()
    return RANDOMNESS.answered(
        sample.pass_difference,
        passed="Two passes agree: an image has one answer and one gradient.",
        suspicious=(
            "Every pass draws something new. A single gradient belongs to a model that is gone by "
            "the next step: attack with gradients averaged over passes, and switch the randomness "
            "off to see what robustness is left."
        ),
        evidence={"examples": len(sample), "median_cosine_of_gradients": float(alike)},
    )


def expectation_over_randomness(sample: Sample) -> Finding:
    """Compare PGD on single passes with PGD on logits averaged over passes, on random models.

    Both are judged by averaged logits.
    Source: expectation over transformation, Athalye, Engstrom, Ilyas & Kwok, ICML 2018
        (arXiv:1707.07397), Eq. (2); advised for random defences by Athalye, Carlini & Wagner,
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

"""Logit scale and loss: whether another objective breaks much more of the same network."""

from torch import Tensor

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import margins
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["LOGIT_SCALE", "MARGIN_LOSS", "logit_scale", "margin_loss"]

STEPS = 50
SATURATING_MARGIN = 16.6
"""Nats from which on float32 rounds the label's probability, 1 - exp(-margin), to 1."""

LOGIT_SCALE = Question(
    name="logit-scale",
    text="Does the same attack break more once the logits are scaled to a margin of about one?",
    threshold=10.0,
    unit="points of accuracy that rescaling takes off",
)
MARGIN_LOSS = Question(
    name="margin-loss",
    text="Does an attack on the margin break more than one on the cross-entropy?",
    threshold=5.0,
    unit="points of accuracy that the margin takes off",
)


def logit_scale(sample: Sample) -> Finding:
    """Compare PGD on the logits with PGD on the logits divided by their median clean margin.

    Both are judged by the model as it is. Scaling changes no prediction, but a softmax that has
    saturated gives its gradient back. Below the margin where one can, nothing is attacked.
    Source: Carlini & Wagner, arXiv:1607.04311 (logits divided before the softmax break defensive
        distillation); Croce & Hein, ICML 2020 (arXiv:2003.01690), section 4.
    """
    margin = float(margins(sample.logits(sample.images), sample.labels).median())
    if margin < SATURATING_MARGIN:
        return LOGIT_SCALE.untested(
            f"The median margin is {margin:.3g} nats, and no softmax saturates below "
            f"{SATURATING_MARGIN:g}: there is nothing to scale down.",
            {"median_margin": margin},
        )
    attack = sample.pgd(STEPS)
    plain = sample.broken_by(attack)
    rescaled = sample.broken_by(attack, _Rescaled(sample.model, margin))
    return LOGIT_SCALE.answered(
        _points_gained(rescaled, plain),
        passed="The scale of the logits hides nothing from attacks on the cross-entropy.",
        suspicious=(
            f"The same attack breaks far more when the logits are divided by {margin:.3g}, which "
            "changes no prediction: the softmax is saturated and hides the gradient of the "
            "cross-entropy. Attack rescaled logits, or the margin or DLR loss."
        ),
        evidence={
            "examples": len(sample),
            "steps": STEPS,
            "median_margin": margin,
            "accuracy_plain": _standing(plain),
            "accuracy_rescaled": _standing(rescaled),
        },
    )


def margin_loss(sample: Sample) -> Finding:
    """Compare PGD on the cross-entropy with PGD on the margin (Carlini-Wagner's) loss.

    Source: Carlini & Wagner, S&P 2017 (arXiv:1608.04644), function f6.
    """
    plain = sample.broken_by(sample.pgd(STEPS))
    by_margin = sample.broken_by(sample.pgd(STEPS, loss="margin"))
    return MARGIN_LOSS.answered(
        _points_gained(by_margin, plain),
        passed="Attacks on the cross-entropy and on the margin break about as much.",
        suspicious=(
            "Attacks on the cross-entropy are clearly weaker than attacks on the margin: have the "
            "margin or DLR loss in the battery, and quote the worst case."
        ),
        evidence={
            "examples": len(sample),
            "steps": STEPS,
            "accuracy_cross_entropy": _standing(plain),
            "accuracy_margin": _standing(by_margin),
        },
    )


def _points_gained(broken: Tensor, before: Tensor) -> float:
    return 100 * (_standing(before) - _standing(broken))


def _standing(broken: Tensor) -> float:
    return (~broken).double().mean().item()


class _Rescaled:
    """A model whose logits are divided by a constant."""

    def __init__(self, model: Classifier, divisor: float) -> None:
        self.model, self.divisor = model, divisor

    def __call__(self, images: Images) -> Logits:
        return self.model(images) / self.divisor

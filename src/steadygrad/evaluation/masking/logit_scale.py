"""Logit scale and loss: whether another objective breaks much more of the same network."""

from dataclasses import dataclass

from torch import Tensor

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.probes import margins
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["LogitScale", "MarginLoss"]

SATURATING_MARGIN = 16.6
"""Nats from which on float32 rounds the label's probability, 1 - exp(-margin), to 1."""


@diagnostic(
    "logit-scale",
    question="Does the same attack break more once the logits are scaled to a margin of about one?",
    unit="points of accuracy that rescaling takes off",
    role="mechanism",
    cause="saturated softmax",
    asks_for=("pgd:loss=margin,steps=50,restarts=2",),
)
@dataclass(frozen=True, kw_only=True)
class LogitScale(Diagnostic):
    """Compare PGD on the logits with PGD on the logits divided by their median clean margin.

    Both are judged by the model as it is. Scaling changes no prediction, but a softmax that has
    saturated gives its gradient back. Below the margin where one can, nothing is attacked.
    Source: Carlini & Wagner, arXiv:1607.04311 (logits divided before the softmax break defensive
        distillation); Croce & Hein, ICML 2020 (arXiv:2003.01690), section 4.
    """

    threshold: float = 10.0
    steps: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        margin = float(margins(sample.logits(sample.images), sample.labels).median())
        if margin < SATURATING_MARGIN:
            return self.untested(
                f"The median margin is {margin:.3g} nats, and no softmax saturates below "
                f"{SATURATING_MARGIN:g}: there is nothing to scale down.",
                {"median_margin": margin},
            )
        attack = sample.pgd(self.steps)
        plain = sample.broken_by(attack)
        rescaled = sample.broken_by(attack, _Rescaled(sample.model, margin))
        return self.answered(
            _points_gained(rescaled, plain),
            passed="The scale of the logits hides nothing from attacks on the cross-entropy.",
            suspicious=(
                f"The same attack breaks far more when the logits are divided by {margin:.3g}, "
                "which changes no prediction: the softmax is saturated and hides the gradient of "
                "the cross-entropy. Attack rescaled logits, or the margin or DLR loss."
            ),
            evidence={
                "examples": len(sample),
                "steps": self.steps,
                "median_margin": margin,
                "accuracy_plain": _standing(plain),
                "accuracy_rescaled": _standing(rescaled),
            },
        )


@diagnostic(
    "margin-loss",
    question="Does an attack on the margin break more than one on the cross-entropy?",
    unit="points of accuracy that the margin takes off",
    role="weak-settings",
    cause="weak attack settings",
)
@dataclass(frozen=True, kw_only=True)
class MarginLoss(Diagnostic):
    """Compare PGD on the cross-entropy with PGD on the margin (Carlini-Wagner's) loss.

    Source: Carlini & Wagner, S&P 2017 (arXiv:1608.04644), function f6.
    """

    threshold: float = 5.0
    steps: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        plain = sample.broken_by(sample.pgd(self.steps))
        by_margin = sample.broken_by(sample.pgd(self.steps, loss="margin"))
        return self.answered(
            _points_gained(by_margin, plain),
            passed="Attacks on the cross-entropy and on the margin break about as much.",
            suspicious=(
                "Attacks on the cross-entropy are clearly weaker than attacks on the margin: have "
                "the margin or DLR loss in the battery, and quote the worst case."
            ),
            evidence={
                "examples": len(sample),
                "steps": self.steps,
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

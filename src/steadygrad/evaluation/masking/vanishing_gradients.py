"""Vanishing gradients: zero, saturated away, or lost to rounding."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.probes import cross_entropies, margins
from steadygrad.evaluation.masking.sample import Sample

__all__ = [
    "Float64Gradients",
    "SoftmaxSaturation",
    "ZeroGradientPixels",
    "ZeroGradients",
]


@diagnostic(
    "zero-gradients",
    question="Is the gradient of the logits exactly zero, so that no attack can even start?",
    unit="fraction of examples",
    role="mechanism",
    cause="vanishing gradients",
    essential=True,
    explained_by=("input quantisation", "saturated softmax"),
    asks_for=("straight-through", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class ZeroGradients(Diagnostic):
    """Count the examples whose margin (a difference of logits) has the gradient zero everywhere.

    Source: AutoAttack's ``check_zero_gradients`` (Croce & Hein, ICML 2020; checks.py), there of
        the loss, warns at a single example; a twentieth is let pass here, since networks of
        ReLUs have regions where they are constant.
    """

    threshold: float = 0.05

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        is_zero = _is_all_zero(sample.gradient(margins)[1])
        fraction = is_zero.double().mean().item()
        return self.answered(
            fraction,
            passed="The logits give attacks a direction on all but a few examples.",
            suspicious=(
                f"On {fraction:.0%} of the examples the logits have no gradient at all: an "
                "operation rounds, clips or detaches. Attacks that follow gradients make no "
                "progress there, so surviving them is no evidence of robustness."
            ),
            evidence={"examples": len(sample), "all_zero": int(is_zero.sum())},
        )


@diagnostic(
    "softmax-saturation",
    question="Is the gradient of the cross-entropy exactly zero where that of the logits is not?",
    unit="fraction of examples",
    role="mechanism",
    cause="saturated softmax",
    asks_for=("pgd:loss=margin,steps=50,restarts=2",),
)
@dataclass(frozen=True, kw_only=True)
class SoftmaxSaturation(Diagnostic):
    """Count the examples that lose their gradient between the logits and the cross-entropy.

    In float32 that takes a margin of about a hundred nats; honest training ends far below.
    Source: Carlini & Wagner, arXiv:1607.04311, on defensive distillation.
    """

    threshold: float = 0.05

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        values, slopes = sample.gradient(margins)
        _, gradients = sample.gradient(cross_entropies)
        is_lost = _is_all_zero(gradients) & ~_is_all_zero(slopes)
        fraction = is_lost.double().mean().item()
        return self.answered(
            fraction,
            passed="The cross-entropy passes on the gradient of the logits.",
            suspicious=(
                f"On {fraction:.0%} of the examples the softmax is so saturated (median margin "
                f"{float(values.median()):.3g} nats) that rounding leaves no gradient: attacks on "
                "the cross-entropy make no progress. Attack the margin or DLR loss, or divide the "
                "logits."
            ),
            evidence={
                "examples": len(sample),
                "all_zero": int(is_lost.sum()),
                "median_margin": float(values.median()),
            },
        )


@diagnostic(
    "zero-gradient-pixels",
    question="Is the gradient exactly zero in most pixels?",
    unit="fraction of pixels, among examples whose gradient is not all zero",
    role="mechanism",
    cause="vanishing gradients",
    explained_by=("input quantisation", "saturated softmax"),
    asks_for=("straight-through", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class ZeroGradientPixels(Diagnostic):
    """Measure in which part of the pixels the gradient of the cross-entropy is exactly zero.

    A step along the gradient's sign leaves such a pixel as it is. Maximum pooling and dead ReLUs
    zero pixels of honest networks too, hence the high threshold.
    Source: the threshold is ours; the networks it was tried on had at most a few per cent.
    """

    threshold: float = 0.9

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        _, gradients = sample.gradient(cross_entropies)
        parts = (gradients.flatten(start_dim=1) == 0).double().mean(dim=1)[~_is_all_zero(gradients)]
        if len(parts) == 0:
            return self.untested("No example has any gradient.")
        fraction = parts.mean().item()
        return self.answered(
            fraction,
            passed="Most pixels carry a gradient that attacks can follow.",
            suspicious=(
                f"The gradient is exactly zero in {fraction:.0%} of the pixels: sign steps leave "
                "them alone, though the model may depend on them."
            ),
            evidence={"examples": len(parts), "median": float(torch.median(parts))},
        )


def _is_all_zero(gradients: Tensor) -> Tensor:
    return (gradients.flatten(start_dim=1) == 0).all(dim=1)


@diagnostic(
    "float64-gradients",
    question="Does the same attack break more when it computes its gradients in float64?",
    unit="points of accuracy that float64 takes off",
    role="mechanism",
    cause="vanishing gradients",
    explained_by=("input quantisation", "saturated softmax"),
    asks_for=("pgd:loss=margin,steps=50,restarts=2",),
)
@dataclass(frozen=True, kw_only=True)
class Float64Gradients(Diagnostic):
    """Compare PGD with PGD on a float64 copy of the model, both judged by the model as it is.

    Gradients alone would accuse honest networks: where the label's probability rounds to one (a
    margin of 17 nats in float32), its part of the cross-entropy's gradient is lost, though an
    attack recovers it after a step or two. How far gradients are apart is in the evidence.
    Source: Carlini & Wagner, arXiv:1607.04311 (defensive distillation hides gradients
        in float32 rounding).
    """

    threshold: float = 10.0
    examples: int = 32
    steps: int = 20

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        if sample.is_random:
            return self.untested("The model is random: every run differs anyway.")
        precise, images = sample.precise(self.examples)
        if images.dtype == sample.images.dtype:
            return self.untested("There is no float64 copy of the model to compare with.")
        _, coarse = sample.gradient(cross_entropies, sample.images[: self.examples])
        _, fine = sample.gradient(cross_entropies, images, model=precise)
        # From the images themselves: random starts differ between dtypes, and luck with them.
        attack = sample.pgd(self.steps, random_start=False)
        single = ~sample.broken_by(attack, sample.model, sample.images[: len(images)])
        double = ~sample.broken_by(attack, precise, images)
        gained = 100 * (single.double().mean() - double.double().mean()).item()
        return self.answered(
            gained,
            passed="Float32 is precise enough: the same attack in float64 breaks no more.",
            suspicious=(
                f"The same attack takes {gained:.0f} points more accuracy off when it computes in "
                "float64: rounding hides the gradient. Attack a float64 copy, or divide the logits."
            ),
            evidence={
                "examples": len(images),
                "steps": self.steps,
                "accuracy_float32": single.double().mean().item(),
                "accuracy_float64": double.double().mean().item(),
                **_distances(coarse.double().flatten(start_dim=1), fine.flatten(start_dim=1)),
            },
        )


def _distances(coarse: Tensor, fine: Tensor) -> dict[str, float | int | None]:
    # The largest entries, no squares: those of a vanishing gradient underflow in float64 too.
    size = fine.abs().amax(dim=1)
    has_any = size > 0
    distances = ((coarse - fine).abs().amax(dim=1) / size)[has_any]
    same_sign = (coarse.sign() == fine.sign())[has_any].double()
    return {
        "zero_gradient_in_float64": int((~has_any).sum()),
        "median_relative_difference": float(distances.median()) if has_any.any() else None,
        "pixels_of_same_sign": float(same_sign.mean()) if has_any.any() else None,
    }

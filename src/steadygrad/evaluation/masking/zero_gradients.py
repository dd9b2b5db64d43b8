"""Zero gradients: examples and pixels along which an attack is given no direction at all."""

import torch
from torch import Tensor

from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import cross_entropies, margins
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = [
    "SOFTMAX_SATURATION",
    "ZERO_GRADIENTS",
    "ZERO_GRADIENT_PIXELS",
    "softmax_saturation",
    "zero_gradient_pixels",
    "zero_gradients",
]

ZERO_GRADIENTS = Question(
    name="zero-gradients",
    text="Is the gradient of the logits exactly zero, so that no attack can even start?",
    threshold=0.05,
    unit="fraction of examples",
)
SOFTMAX_SATURATION = Question(
    name="softmax-saturation",
    text="Is the gradient of the cross-entropy exactly zero where that of the logits is not?",
    threshold=0.05,
    unit="fraction of examples",
)
ZERO_GRADIENT_PIXELS = Question(
    name="zero-gradient-pixels",
    text="Is the gradient exactly zero in most pixels?",
    threshold=0.9,
    unit="fraction of pixels, among examples whose gradient is not all zero",
)


def zero_gradients(sample: Sample) -> Finding:
    """Count the examples whose margin (a difference of logits) has the gradient zero everywhere.

    Source: AutoAttack's ``check_zero_gradients`` (Croce & Hein, ICML 2020; checks.py), there of
        the loss, warns at a single example; a twentieth is let pass here, since networks of
        ReLUs have regions where they are constant.
    """
    is_zero = _is_all_zero(sample.gradient(margins)[1])
    fraction = is_zero.double().mean().item()
    return ZERO_GRADIENTS.answered(
        fraction,
        passed="The logits give attacks a direction on all but a few examples.",
        suspicious=(
            f"On {fraction:.0%} of the examples the logits have no gradient at all: something "
            "rounds, cuts or detaches on the way. Attacks that follow gradients stand still "
            "there, and what survives them proves nothing."
        ),
        evidence={"examples": len(sample), "all_zero": int(is_zero.sum())},
    )


def softmax_saturation(sample: Sample) -> Finding:
    """Count the examples that lose their gradient between the logits and the cross-entropy.

    In float32 that takes a margin of about a hundred nats; honest training ends far below.
    Source: Carlini & Wagner, arXiv:1607.04311, on defensive distillation.
    """
    values, slopes = sample.gradient(margins)
    _, gradients = sample.gradient(cross_entropies)
    is_lost = _is_all_zero(gradients) & ~_is_all_zero(slopes)
    fraction = is_lost.double().mean().item()
    return SOFTMAX_SATURATION.answered(
        fraction,
        passed="The cross-entropy passes on the gradient of the logits.",
        suspicious=(
            f"On {fraction:.0%} of the examples the softmax is so sure (the median margin is "
            f"{float(values.median()):.3g} nats) that rounding leaves no gradient: attacks on the "
            "cross-entropy stand still. Attack the margin or DLR loss, or divide the logits."
        ),
        evidence={
            "examples": len(sample),
            "all_zero": int(is_lost.sum()),
            "median_margin": float(values.median()),
        },
    )


def zero_gradient_pixels(sample: Sample) -> Finding:
    """Measure in which part of the pixels the gradient of the cross-entropy is exactly zero.

    A step along the gradient's sign leaves such a pixel as it is. Maximum pooling and dead ReLUs
    zero pixels of honest networks too, hence the high threshold.
    Source: the threshold is ours; the networks it was tried on had at most a few per cent.
    """
    _, gradients = sample.gradient(cross_entropies)
    parts = (gradients.flatten(start_dim=1) == 0).double().mean(dim=1)[~_is_all_zero(gradients)]
    if len(parts) == 0:
        return ZERO_GRADIENT_PIXELS.untested("No example has any gradient.")
    fraction = parts.mean().item()
    return ZERO_GRADIENT_PIXELS.answered(
        fraction,
        passed="Most pixels carry a gradient that attacks can follow.",
        suspicious=(
            f"The gradient is exactly zero in {fraction:.0%} of the pixels: sign steps leave them "
            "alone, though the model may depend on them."
        ),
        evidence={"examples": len(parts), "median": float(torch.median(parts))},
    )


def _is_all_zero(gradients: Tensor) -> Tensor:
    return (gradients.flatten(start_dim=1) == 0).all(dim=1)

"""Zero gradients: examples and pixels along which an attack is given no direction at all."""

import torch

from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import cross_entropies
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["ZERO_GRADIENTS", "ZERO_GRADIENT_PIXELS", "zero_gradient_pixels", "zero_gradients"]

ZERO_GRADIENTS = Question(
    name="zero-gradients",
    text="Is the gradient of the loss exactly zero, so that an attack cannot even start?",
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
    """Count the examples whose cross-entropy has the gradient zero in every pixel.

    Source: AutoAttack's ``check_zero_gradients`` (Croce & Hein, ICML 2020) warns at a single one;
        a few sure examples underflow in honest networks too, so a twentieth is let pass.
    """
    _, gradients = sample.gradient(cross_entropies)
    is_zero = (gradients.flatten(start_dim=1) == 0).all(dim=1)
    fraction = is_zero.double().mean().item()
    return ZERO_GRADIENTS.answered(
        fraction,
        passed="Attacks on the cross-entropy have a direction to go on all but a few examples.",
        suspicious=(
            f"On {fraction:.0%} of the examples the loss is flat to the last bit: attacks that "
            "follow its gradient stand still there, and what survives them proves nothing."
        ),
        evidence={"examples": len(sample), "all_zero": int(is_zero.sum())},
    )


def zero_gradient_pixels(sample: Sample) -> Finding:
    """Measure in which part of the pixels the gradient of the cross-entropy is exactly zero.

    A step along the gradient's sign leaves such a pixel as it is. Maximum pooling and dead ReLUs
    zero many pixels of honest networks, hence the high threshold.
    """
    _, gradients = sample.gradient(cross_entropies)
    is_zero = gradients.flatten(start_dim=1) == 0
    parts = is_zero.double().mean(dim=1)[~is_zero.all(dim=1)]
    if len(parts) == 0:
        return ZERO_GRADIENT_PIXELS.untested(
            "No example has any gradient.", {"examples": len(sample)}
        )
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

"""Float64 against float32: gradients that rounding takes away from attacks."""

from torch import Tensor

from steadygrad.evaluation.masking.finding import Finding
from steadygrad.evaluation.masking.input_gradient import cross_entropies
from steadygrad.evaluation.masking.question import Question
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["FLOAT64_GRADIENTS", "float64_gradients"]

EXAMPLES = 32
STEPS = 20

FLOAT64_GRADIENTS = Question(
    name="float64-gradients",
    text="Does the same attack break more when it computes its gradients in float64?",
    threshold=10.0,
    unit="points of accuracy that float64 takes off",
)


def float64_gradients(sample: Sample) -> Finding:
    """Compare PGD with PGD on a float64 copy of the model, both judged by the model as it is.

    Gradients alone would accuse honest networks: where the label's probability rounds to one (a
    margin of 17 nats in float32), its part of the cross-entropy's gradient is lost, though an
    attack recovers it after a step or two. How far gradients are apart is in the evidence.
    Source: Carlini & Wagner, arXiv:1607.04311 (defensive distillation hides gradients
        in float32 rounding).
    """
    if sample.is_random:
        return FLOAT64_GRADIENTS.untested("The model is random: every run differs anyway.")
    precise, images = sample.precise(EXAMPLES)
    if images.dtype == sample.images.dtype:
        return FLOAT64_GRADIENTS.untested("There is no float64 copy of the model to compare with.")
    _, coarse = sample.gradient(cross_entropies, sample.images[:EXAMPLES])
    _, fine = sample.gradient(cross_entropies, images, model=precise)
    # From the images themselves: random starts differ between dtypes, and luck with them.
    attack = sample.pgd(STEPS, random_start=False)
    single = ~sample.broken_by(attack, sample.model, sample.images[: len(images)])
    double = ~sample.broken_by(attack, precise, images)
    gained = 100 * (single.double().mean() - double.double().mean()).item()
    return FLOAT64_GRADIENTS.answered(
        gained,
        passed="Float32 is precise enough: the same attack in float64 breaks no more.",
        suspicious=(
            f"The same attack takes {gained:.0f} points more accuracy off when it computes in "
            "float64: rounding hides the gradient. Attack a float64 copy, or divide the logits."
        ),
        evidence={
            "examples": len(images),
            "steps": STEPS,
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

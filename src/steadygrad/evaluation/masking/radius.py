"""Larger radii: an attack without a bound must win, and a larger ball hides no less."""

from dataclasses import dataclass
from itertools import pairwise

from steadygrad.evaluation.masking.diagnostic import Diagnostic, Finding, diagnostic
from steadygrad.evaluation.masking.sample import Sample

__all__ = ["RisingAccuracy", "UnboundedEps"]


@diagnostic(
    "unbounded-eps",
    question="Does an attack that may change every pixel from black to white break everything?",
    unit="percent of examples still correct",
    role="symptom",
    cause="misleading gradients",
    essential=True,
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class UnboundedEps(Diagnostic):
    """Attack with PGD at L-infinity eps 1, whatever the norm, starting from the images.

    From random starts at eps 1, images are random too, and a model is wrong on them without any
    gradient's help.
    Source: Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420), section 3.1; Carlini et al.,
        arXiv:1902.06705, evaluation checklist.
    """

    threshold: float = 5.0
    steps: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        broken = sample.broken_by(sample.pgd(self.steps, eps=1.0, norm="linf", random_start=False))
        standing = 100 * (~broken).double().mean().item()
        return self.answered(
            standing,
            passed="An attack without a bound breaks practically everything, as it should.",
            suspicious=(
                f"{standing:.0f} % of the examples survive an attack that may change any pixel to "
                "any value. No model can be that robust: the attack fails, and at smaller radii it "
                "does too."
            ),
            evidence={
                "examples": len(sample),
                "steps": self.steps,
                "still_right": int((~broken).sum()),
            },
        )


@diagnostic(
    "rising-accuracy",
    question="Does accuracy rise when the attack is given a larger radius?",
    unit="points of accuracy, largest rise",
    role="symptom",
    cause="misleading gradients",
    asks_for=("smoothed-gradient", "wide-differences", "surrogate"),
)
@dataclass(frozen=True, kw_only=True)
class RisingAccuracy(Diagnostic):
    """Compare PGD at half the radius, at the radius and at twice the radius.

    Source: Carlini et al., arXiv:1902.06705, evaluation checklist (accuracy must fall with the
        radius).
    """

    threshold: float = 5.0
    steps: int = 50

    def __call__(self, sample: Sample) -> Finding:
        """Return the finding on a sample."""
        eps, norm = sample.subject.eps, sample.subject.norm
        radii = [eps / 2, eps, 2 * eps if norm == "l2" else min(2 * eps, 1.0)]
        accuracies = {
            radius: (~sample.broken_by(sample.pgd(self.steps, eps=radius))).double().mean().item()
            for radius in dict.fromkeys(radii)
        }
        rise = max(100 * (after - before) for before, after in pairwise(accuracies.values()))
        return self.answered(
            max(rise, 0.0),
            passed="A larger radius breaks more, as it should.",
            suspicious=(
                "The attack breaks less when it may change more, though everything within the "
                "small radius is within the large one: it is being led astray."
            ),
            evidence={
                "examples": len(sample),
                "steps": self.steps,
                "accuracy_by_eps": {f"{radius:g}": value for radius, value in accuracies.items()},
            },
        )

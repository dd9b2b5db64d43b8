"""Fast minimum-norm attack (FMN): a radius that shrinks where the image is broken, grows where not.

Source: Pintor, Roli, Brendel & Biggio, NeurIPS 2021 (arXiv:2102.12827), Algorithm 1, by foolbox.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad.attacks.adapters.library import load_library
from steadygrad.attacks.adapters.minimal_foolbox import MinimalFoolboxAttack
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError

__all__ = ["FMN"]


@attack("fmn", title="FMN", family="minimal", norms=("linf", "l2"))
@dataclass(frozen=True, kw_only=True)
class FMN(MinimalFoolboxAttack):
    """Find the smallest perturbation in L-infinity or L2: one run gives every radius of a curve.

    Each step climbs the difference of logits, projects to the image's own radius, and changes that
    radius by a factor that decays from ``1 ± gamma`` to 1.

    Args:
        eps: radius in ``norm``: an image counts as broken if it is misclassified within it.
            ``closest`` reports the distances found, whatever ``eps``.
        norm: "linf" or "l2".
        steps: gradients an image, at least 1.
        step_size: of the first step, positive; it decays to a hundredth along a cosine.
        gamma: of the first change of the radius, in (0, 1).

    Raises:
        HyperparameterError: a setting is out of range.
        MissingExtraError: ``foolbox`` is not installed.
    """

    steps: int = 100
    step_size: float = 1.0
    gamma: float = 0.05

    label: ClassVar[str] = "FMN"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.step_size < float("inf"):
            raise HyperparameterError(f"expected step_size > 0, got {self.step_size}")
        if not 0 < self.gamma < 1:
            raise HyperparameterError(f"expected gamma in (0, 1), got {self.gamma}")

    def _attack(self) -> Any:
        attacks = load_library("foolbox", ".attacks")
        chosen = attacks.L2FMNAttack if self.norm == "l2" else attacks.LInfFMNAttack
        return chosen(steps=self.steps, max_stepsize=self.step_size, gamma=self.gamma)

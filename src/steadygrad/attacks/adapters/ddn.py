"""Decoupled direction and norm (DDN): the smallest L2 perturbation, direction and length apart.

Source: Rony et al., CVPR 2019 (arXiv:1811.09600), Algorithm 1, by foolbox.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad.attacks.adapters.library import load_library
from steadygrad.attacks.adapters.minimal_foolbox import MinimalFoolboxAttack
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError

__all__ = ["DDN"]


@attack("ddn", title="DDN", family="minimal", norms=("l2",))
@dataclass(frozen=True, kw_only=True)
class DDN(MinimalFoolboxAttack):
    """Step along the gradient, then set the change's length: shorter where the image is broken.

    Args:
        eps: L2 radius: an image counts as broken if it is misclassified within it. ``closest``
            reports the distances found, whatever ``eps``.
        steps: gradients an image, at least 1.
        initial_length: of the change, positive.
        gamma: by which factor ``1 ± gamma`` the length changes in a step, in (0, 1).

    Raises:
        HyperparameterError: a setting is out of range.
        MissingExtraError: ``foolbox`` is not installed.
    """

    norm: Norm = "l2"
    steps: int = 100
    initial_length: float = 1.0
    gamma: float = 0.05

    label: ClassVar[str] = "DDN"

    def __post_init__(self) -> None:
        if self.norm != "l2":
            raise HyperparameterError(f"expected norm 'l2' for DDN, got {self.norm!r}")
        super().__post_init__()
        if not 0 < self.initial_length < float("inf"):
            raise HyperparameterError(f"expected initial_length > 0, got {self.initial_length}")
        if not 0 < self.gamma < 1:
            raise HyperparameterError(f"expected gamma in (0, 1), got {self.gamma}")

    def _attack(self) -> Any:
        return load_library("foolbox", ".attacks").DDNAttack(
            init_epsilon=self.initial_length, steps=self.steps, gamma=self.gamma
        )

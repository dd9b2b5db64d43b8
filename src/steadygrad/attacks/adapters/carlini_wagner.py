"""Carlini & Wagner's L2 attack: the smallest perturbation, by optimizing over its weight.

Source: Carlini & Wagner, S&P 2017 (arXiv:1608.04644), section VI.A, by foolbox.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad.attacks.adapters.library import load_library
from steadygrad.attacks.adapters.minimal_foolbox import MinimalFoolboxAttack
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.part import attack
from steadygrad.errors import HyperparameterError

__all__ = ["CarliniWagner"]


@attack("carlini-wagner", title="Carlini-Wagner", family="minimal", norms=("l2",))
@dataclass(frozen=True, kw_only=True)
class CarliniWagner(MinimalFoolboxAttack):
    """Minimize ``|x' - x|_2^2 + c * max(z_y - max_{k != y} z_k + confidence, 0)``, x' in [0, 1].

    Adam works on ``w`` with ``x' = (tanh(w) + 1) / 2``; each image's ``c`` is found by bisection.

    eps: L2 radius in units of the pixel range, at least 0: an image counts as broken if it is
        misclassified within it. ``closest`` reports the distances found, whatever ``eps``.
    confidence: margin between the logits to reach beyond the boundary, at least 0.
    steps: of Adam for each ``c``, at least 1; it stops early where the loss no longer falls.
    step_size: Adam's learning rate, positive.
    binary_search_steps: values of ``c`` tried, at least 1.
    initial_const: the first ``c``, positive.
    Raises: HyperparameterError; MissingExtraError without ``foolbox``.

    The paper takes 10,000 steps of Adam. Of foolbox and torchattacks, foolbox has its search for
    ``c``; torchattacks has one ``c`` for all images.
    """

    norm: Norm = "l2"
    confidence: float = 0.0
    steps: int = 1000
    step_size: float = 0.01
    binary_search_steps: int = 9
    initial_const: float = 1e-3

    label: ClassVar[str] = "Carlini-Wagner"
    counts: ClassVar[tuple[str, ...]] = ("steps", "binary_search_steps")

    def __post_init__(self) -> None:
        if self.norm != "l2":
            raise HyperparameterError(f"expected norm 'l2' for Carlini-Wagner, got {self.norm!r}")
        super().__post_init__()
        for name in ("step_size", "initial_const"):
            if not 0 < getattr(self, name) < float("inf"):
                raise HyperparameterError(f"expected {name} > 0, got {getattr(self, name)}")
        if not 0 <= self.confidence < float("inf"):
            raise HyperparameterError(f"expected confidence >= 0, got {self.confidence}")

    def _attack(self) -> Any:
        return load_library("foolbox", ".attacks").L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
        )

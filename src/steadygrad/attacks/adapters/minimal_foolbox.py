"""What foolbox's attacks that look for the smallest perturbation have in common, by name."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapters.foolbox import from_foolbox
from steadygrad.attacks.adapters.foreign import ForeignAttack
from steadygrad.attacks.adapters.library import library_version, require_library
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.errors import HyperparameterError

__all__ = ["MinimalFoolboxAttack"]


@dataclass(frozen=True, kw_only=True)
class MinimalFoolboxAttack(ForeignAttack):
    """An attack of foolbox with settings of its own; see ``ForeignAttack`` for its laws."""

    is_minimal: ClassVar[bool] = True
    label: ClassVar[str]
    counts: ClassVar[tuple[str, ...]] = ("steps",)
    """Settings that are at least 1."""

    @abstractmethod
    def _attack(self) -> Any:
        """Return foolbox's attack object."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.counts:
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")
        require_library("foolbox")

    def describe(self) -> dict[str, Any]:
        """Return library and settings, as JSON values."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "eps"]
        settings = {name: getattr(self, name) for name in names}
        return {"library": library_version("foolbox"), **settings}

    def _perturb(
        self,
        model: ShieldedModel,
        images: Images,
        labels: Labels,
        *,
        classes: int,
        seed: int,
        eps: float | None,
    ) -> Images:
        adapted = from_foolbox(self._attack(), eps=self.eps)
        return adapted._perturb(model, images, labels, classes=classes, seed=seed, eps=eps)

"""Attacks of foolbox as ours, and ours as attacks of foolbox.

Source: Rauber et al., JOSS 2020 (doi:10.21105/joss.02607).
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeVar

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapters.description import plain_settings
from steadygrad.attacks.adapters.foreign import ForeignAttack
from steadygrad.attacks.adapters.library import library_version, load_library
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.base import Attack, norm_of, with_eps
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.attacks.part import about_attack
from steadygrad.errors import HyperparameterError

__all__ = ["FoolboxAttack", "from_foolbox", "to_foolbox"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FoolboxAttack(ForeignAttack):
    """An attack object of foolbox, at a radius in the norm that it measures itself.

    attack: bounded (``FixedEpsilonAttack``) or minimizing (``MinimizationAttack``), with a
        distance of Linf or L2, or one of them repeated; HyperparameterError otherwise. Its own
        settings are its affair: a relative step follows ``eps``, an absolute one does not.
    """

    norm: Norm = field(init=False)
    attack: Any

    def __post_init__(self) -> None:
        base = load_library("foolbox", ".attacks.base")
        if not isinstance(self.attack, base.Attack):
            raise HyperparameterError(
                f"expected an attack object of foolbox, got {type(self.attack).__name__}"
            )
        object.__setattr__(self, "norm", _norm(self.label, self.attack))
        super().__post_init__()

    @property
    def label(self) -> str:
        """Library and class."""
        return f"foolbox {type(self.attack).__name__}"

    @property
    def is_minimal(self) -> bool:
        """Whether it is a ``MinimizationAttack``."""
        base = load_library("foolbox", ".attacks.base")
        is_repeated = isinstance(self.attack, base.Repeated)
        attack = self.attack.attack if is_repeated else self.attack
        return isinstance(attack, base.MinimizationAttack)

    def describe(self) -> dict[str, Any]:
        """Return library, version, class and the attack's attributes, as JSON values."""
        settings = plain_settings(vars(self.attack))
        return {"name": self.label, "library": library_version("foolbox"), **settings}

    def _perturb(
        self,
        model: ShieldedModel,
        images: Images,
        labels: Labels,
        *,
        classes: int,  # noqa: ARG002  (foolbox counts for itself)
        seed: int,  # noqa: ARG002  (foolbox draws from the global generators)
        eps: float | None,
    ) -> Images:
        models = load_library("foolbox", ".models")
        wrapped = models.PyTorchModel(model, bounds=(0, 1), device=images.device)
        found: Images
        _, found, _ = self.attack(wrapped, images, labels, epsilons=eps)
        return found


def from_foolbox(attack: Any, *, eps: float) -> FoolboxAttack:
    """Return a foolbox attack object as an attack of ours.

    ``from_foolbox(foolbox.attacks.LinfPGD(steps=20), eps=0.1)``
    Raises: HyperparameterError, for anything but an attack measured in Linf or L2;
        MissingExtraError.
    """
    return FoolboxAttack(attack=attack, eps=eps)


def to_foolbox(attack: Attack | DeepFool) -> Any:
    """Return an attack of ours as an attack object of foolbox.

    It is a ``FixedEpsilonAttack`` at foolbox's ``epsilons``, whatever its own eps; one without an
    eps, ``DeepFool``, is a ``MinimizationAttack`` in L2. The foolbox model needs bounds (0, 1);
    the criterion is misclassification. Randomness comes from torch's global generator.
    Raises: MissingExtraError; HyperparameterError, for an attack that may leave its ball, such as
        Gaussian noise, whose results foolbox would cut off at epsilon; when called, for other
        bounds or criteria.
    """
    about = about_attack(attack)
    if not about.stays_in_ball and not isinstance(attack, DeepFool):
        why = (
            "whose eps is a standard deviation"
            if about.is_gaussian
            else "whose results may lie further away"
        )
        raise HyperparameterError(
            f"expected an attack that stays within eps, got {type(attack).__name__}, {why}"
        )
    base = load_library("foolbox", ".attacks.base")
    distances = load_library("foolbox", ".distances")
    if isinstance(attack, DeepFool):
        return _minimizing(base, distances)(attack)
    return _bounded(base, getattr(distances, norm_of(attack)))(attack)


def _norm(label: str, attack: Any) -> Norm:
    """Return the norm of the attack's distance."""
    try:
        p = attack.distance.p
    except (AttributeError, ValueError):  # it has none, or was given none
        p = None
    norms: dict[Any, Norm] = {float("inf"): "linf", 2: "l2"}
    if p not in norms:
        raise HyperparameterError(
            f"expected an attack with a distance of Linf or L2, got {label} with "
            f"{'none' if p is None else f'L{p}'}"
        )
    return norms[p]


def _bounded(base: Any, of_norm: Any) -> Any:
    # The base class exists only where foolbox does, hence a class made when it is asked for.
    class SteadygradAttack(base.FixedEpsilonAttack):  # type: ignore[misc]  # an untyped base
        """An attack of steadygrad within foolbox's epsilon."""

        distance = of_norm

        def __init__(self, attack: Attack) -> None:
            self.attack = attack

        def run(self, model: Any, inputs: T, criterion: Any, *, epsilon: float, **kwargs: Any) -> T:
            """Return perturbed inputs within ``epsilon``."""
            base.raise_if_kwargs(kwargs)
            attack = with_eps(self.attack, epsilon)
            return _run(base, attack, model, inputs, criterion)

    return SteadygradAttack


def _minimizing(base: Any, distances: Any) -> Any:
    class SteadygradMinimizationAttack(base.MinimizationAttack):  # type: ignore[misc]  # untyped
        """An attack of steadygrad that looks for the smallest perturbation."""

        distance = distances.l2

        def __init__(self, attack: DeepFool) -> None:
            self.attack = dataclasses.replace(attack, start_from_prediction=False)

        def run(
            self,
            model: Any,
            inputs: T,
            criterion: Any,
            *,
            early_stop: float | None = None,  # noqa: ARG002  (DeepFool has no length to stop at)
            **kwargs: Any,
        ) -> T:
            """Return perturbed inputs, of another class where the attack succeeds."""
            base.raise_if_kwargs(kwargs)
            return _run(base, self.attack, model, inputs, criterion)

    return SteadygradMinimizationAttack


def _run(base: Any, attack: Any, model: Any, inputs: T, criterion: Any) -> T:
    criteria = load_library("foolbox", ".criteria")
    criterion = base.get_criterion(criterion)
    if not isinstance(criterion, criteria.Misclassification):
        raise HyperparameterError(
            f"expected foolbox's Misclassification, got {type(criterion).__name__}"
        )
    if tuple(model.bounds) != (0, 1):
        raise HyperparameterError(
            f"expected a foolbox model with bounds (0, 1), got {tuple(model.bounds)}"
        )
    images, restore = base.ep.astensor_(inputs)
    found = attack(model, images.raw, criterion.labels.raw.long())
    adversarial: T = restore(base.ep.astensor(found))
    return adversarial

"""Attacks of torchattacks as ours, and ours as attacks of torchattacks.

Source: Kim, arXiv:2010.01950.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steadygrad._typing import Images, Labels
from steadygrad.attacks.adapters.description import plain_settings
from steadygrad.attacks.adapters.foreign import ForeignAttack
from steadygrad.attacks.adapters.library import library_version, load_library
from steadygrad.attacks.adapters.library_settings import (
    Settings,
    at_radius,
    check_settings,
    constructor_parameters,
)
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.base import Attack, with_eps
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.checks import check_eps
from steadygrad.errors import HyperparameterError

__all__ = ["TorchattacksAttack", "from_torchattacks", "to_torchattacks"]

RADII = ("eps", "max_epsilon")
"""What a class may call its radius; one that has neither minimizes, or takes no heed of size."""

ROUND = frozenset({"CW", "DeepFool", "PGDL2", "PGDRSL2"})
"""Classes measured in L2; those with a radius are measured in Linf but for these."""

FOREIGN_NORMS: Mapping[Norm, str] = {"linf": "Linf", "l2": "L2"}


@dataclass(frozen=True, kw_only=True)
class TorchattacksAttack(ForeignAttack):
    """An attack class of torchattacks, built anew for the model of each call.

    attack_class: takes the model first. With a radius (``eps``, ``max_epsilon``) it gets ours;
        without one (``CW``, ``DeepFool``) it minimizes.
    norm: in which it is bounded, given to classes that choose.
    settings: of the constructor, beside model and radius; a ``TimesEps`` moves with the radius.
        ``seed`` and ``n_classes`` are filled in where the class has them and they are not set.
    """

    attack_class: type[Any]
    settings: Settings = ()

    @property
    def label(self) -> str:
        """Library and class."""
        return f"torchattacks {self.attack_class.__name__}"

    @property
    def is_minimal(self) -> bool:
        """Whether the class takes no radius."""
        return _radius_name(self.attack_class) is None

    def describe(self) -> dict[str, Any]:
        """Return library, version, class, norm and settings, as JSON values."""
        return {
            "name": self.label,
            "library": library_version("torchattacks"),
            "norm": self.norm,
            **plain_settings(dict(self.settings)),
        }

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
        known = constructor_parameters(self.attack_class)
        filled = {"seed": seed, "n_classes": classes, "norm": FOREIGN_NORMS[self.norm]}
        settings = {name: value for name, value in filled.items() if name in known}
        settings |= at_radius(self.settings, eps)
        if (radius := _radius_name(self.attack_class)) is not None:
            settings[radius] = eps
        try:
            attack = self.attack_class(model, **settings)
        except (TypeError, ValueError) as error:
            raise HyperparameterError(f"{self.label} refuses its settings: {error}") from error
        found: Images = attack(images, labels)
        return found


def from_torchattacks(
    attack_class: type[Any], *, eps: float, norm: Norm | None = None, **settings: Any
) -> TorchattacksAttack:
    """Return a torchattacks class, with settings for its constructor, as an attack of ours.

    ``from_torchattacks(torchattacks.PGD, eps=0.1, alpha=TimesEps(0.25), steps=20)``
    norm: None takes the class's own, Linf for those that choose; a class without a radius that is
        not known to minimize in L2 needs one, and is then judged by it.
    Raises: HyperparameterError, for anything but an attack class, its norm or its settings;
        MissingExtraError.
    """
    base = load_library("torchattacks", ".attack")
    if not (isinstance(attack_class, type) and issubclass(attack_class, base.Attack)):
        raise HyperparameterError(f"expected an attack class of torchattacks, got {attack_class!r}")
    label = f"torchattacks {attack_class.__name__}"
    for name in ("norm", *RADII):
        if name in settings:
            raise HyperparameterError(
                f"expected settings of {label} other than its norm and radius, got {name!r}"
            )
    check_settings(label, attack_class, settings)
    return TorchattacksAttack(
        eps=eps,
        attack_class=attack_class,
        norm=_norm(label, attack_class, norm),
        settings=tuple(sorted(settings.items())),
    )


def to_torchattacks(attack: Attack | DeepFool, model: Any) -> Any:
    """Return an attack of ours as an attack object of torchattacks, for one model.

    It honours torchattacks' normalization and changes of ``.eps``. Untargeted as torchattacks
    sees it; what the attack itself aims at stays its affair. Randomness comes from torch's global
    generator.
    Raises: MissingExtraError.
    """
    base = load_library("torchattacks", ".attack").Attack

    # The base class exists only where torchattacks does, hence a class made when it is asked for.
    class SteadygradAttack(base):  # type: ignore[misc, valid-type]  # an untyped base
        """An attack of steadygrad on one model."""

        def __init__(self, model: Any, attack: Attack | DeepFool) -> None:
            super().__init__(type(attack).__name__, model)
            self.ours = attack
            if not isinstance(attack, DeepFool):
                self.eps = attack.eps

        def forward(self, images: Images, labels: Labels) -> Images:
            """Return adversarial images, shaped like ``images``."""
            images, labels = images.to(self.device), labels.to(self.device)
            ours = self.ours if isinstance(self.ours, DeepFool) else with_eps(self.ours, self.eps)
            adversarial: Images = ours(self.get_logits, images, labels)
            return adversarial

    return SteadygradAttack(model, attack)


def _norm(label: str, attack_class: type[Any], asked: Norm | None) -> Norm:
    """Return the norm that a class is measured in; refuse one that it is not."""
    if asked is not None:
        check_eps(0.0, asked)
    has_radius = _radius_name(attack_class) is not None
    if "norm" in constructor_parameters(attack_class):
        return asked or "linf"
    known = {base.__name__ for base in attack_class.__mro__}
    own: Norm | None = "l2" if known & ROUND else "linf" if has_radius else None
    if own is None and asked is None:
        raise HyperparameterError(
            f"expected norm='linf' or 'l2' for {label}, which is bounded in neither, got None"
        )
    if has_radius and asked not in (None, own):
        raise HyperparameterError(f"expected norm {own!r} for {label}, got {asked!r}")
    norm: Norm | None = asked or own
    assert norm is not None
    return norm


def _radius_name(attack_class: type[Any]) -> str | None:
    known = constructor_parameters(attack_class)
    return next((name for name in RADII if name in known), None)

"""Attacks of ART (Adversarial Robustness Toolbox) as ours, and ours as evasion attacks of ART.

Source: Nicolae et al., arXiv:1807.01069.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

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
from steadygrad.checks import check_eps
from steadygrad.errors import HyperparameterError

__all__ = ["ArtAttack", "from_art"]

OWN_NORMS: Mapping[str, Norm | None] = {
    "BasicIterativeMethod": "linf",
    "BoundaryAttack": "l2",
    "CarliniL0Method": None,
    "CarliniL2Method": "l2",
    "CarliniLInfMethod": "linf",
    "DeepFool": "l2",
    "NewtonFool": "l2",
    "SignOPTAttack": "l2",
    "VirtualAdversarialMethod": "l2",
    "ZooAttack": "l2",
}
"""Of classes that have no choice of norm; None is neither of ours."""

ORDERS: Mapping[Norm, Any] = {"linf": float("inf"), "l2": 2}


@dataclass(frozen=True, kw_only=True)
class ArtAttack(ForeignAttack):
    """An evasion attack class of ART, built anew for the model of each call.

    attack_class: takes the estimator first, a ``PyTorchClassifier`` around the shielded model.
        With a radius (``eps``) it gets ours; without one it minimizes.
    norm: in which it is bounded, given to classes that choose.
    settings: of the constructor, beside estimator and radius; a ``TimesEps`` moves with the
        radius. The whole batch is attacked at once (``batch_size``), silently (``verbose``) and
        untargeted, where the class has a say in it and the settings do not set it.

    ART computes in float32 on numpy arrays, whatever the images are. Its ``BoundaryAttack`` and
    ``HopSkipJump`` draw from the operating system: no generator makes them repeat themselves.
    """

    attack_class: type[Any]
    settings: Settings = ()

    working_dtype: ClassVar[torch.dtype | None] = torch.float32

    @property
    def label(self) -> str:
        """Library and class."""
        return f"ART {self.attack_class.__name__}"

    @property
    def is_minimal(self) -> bool:
        """Whether the class takes no radius."""
        return "eps" not in constructor_parameters(self.attack_class)

    def describe(self) -> dict[str, Any]:
        """Return library, version, class, norm and settings, as JSON values."""
        return {
            "name": self.label,
            "library": library_version("art"),
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
        seed: int,  # noqa: ARG002  (ART draws from the global generators)
        eps: float | None,
    ) -> Images:
        known = constructor_parameters(self.attack_class)
        filled: dict[str, Any] = {
            "norm": ORDERS[self.norm],
            "batch_size": len(images),
            "verbose": False,
            "targeted": False,
            "eps": eps,
        }
        settings = {name: value for name, value in filled.items() if name in known}
        settings |= at_radius(self.settings, eps)
        # ART takes the current GPU, not that of the model.
        place = torch.cuda.device(images.device) if images.is_cuda else contextlib.nullcontext()
        with place:
            estimator = load_library("art", ".estimators.classification").PyTorchClassifier(
                model=model,
                loss=torch.nn.CrossEntropyLoss(),
                input_shape=tuple(images.shape[1:]),
                nb_classes=classes,
                clip_values=(0.0, 1.0),
                device_type="gpu" if images.is_cuda else "cpu",
            )
            try:
                attack = self.attack_class(estimator, **settings)
            except (TypeError, ValueError) as error:
                raise HyperparameterError(f"{self.label} refuses its settings: {error}") from error
            found = attack.generate(x=images.cpu().numpy(), y=labels.cpu().numpy())
        return torch.from_numpy(found).to(images)


def from_art(
    attack_class: type[Any], *, eps: float, norm: Norm | None = None, **settings: Any
) -> ArtAttack:
    """Return an evasion attack class of ART, with settings for its constructor, as ours.

    ``from_art(ProjectedGradientDescent, eps=0.1, eps_step=TimesEps(0.25), max_iter=20)``
    norm: None takes the class's own, for those that choose their default; a class that is neither
        known nor chooses needs one, and is then judged by it.
    Raises: HyperparameterError, for anything but an evasion attack class, its norm or its
        settings, or for ``targeted=True``; MissingExtraError.
    """
    base = load_library("art", ".attacks.attack")
    if not (isinstance(attack_class, type) and issubclass(attack_class, base.EvasionAttack)):
        raise HyperparameterError(f"expected an evasion attack class of ART, got {attack_class!r}")
    label = f"ART {attack_class.__name__}"
    for name in ("norm", "eps"):
        if name in settings:
            raise HyperparameterError(
                f"expected settings of {label} other than its norm and radius, got {name!r}"
            )
    if settings.get("targeted"):
        raise HyperparameterError(
            f"expected {label} untargeted, for the labels are not targets, got targeted=True"
        )
    check_settings(label, attack_class, settings)
    return ArtAttack(
        eps=eps,
        attack_class=attack_class,
        norm=_norm(label, attack_class, norm),
        settings=tuple(sorted(settings.items())),
    )


def _norm(label: str, attack_class: type[Any], asked: Norm | None) -> Norm:
    """Return the norm that a class is measured in; refuse one that it is not."""
    if asked is not None:
        check_eps(0.0, asked)
    known = constructor_parameters(attack_class)
    own = next(
        (OWN_NORMS[base.__name__] for base in attack_class.__mro__ if base.__name__ in OWN_NORMS),
        None,
    )
    if "norm" in known and own is None:
        default = {float("inf"): "linf", "inf": "linf", 2: "l2", "2": "l2"}
        chosen: Norm | None = asked or default.get(known["norm"].default)  # type: ignore[assignment] # ART's own default, untyped
    elif "eps" in known and own is not None and asked not in (None, own):
        raise HyperparameterError(f"expected norm {own!r} for {label}, got {asked!r}")
    else:
        chosen = asked or own
    if chosen is None:
        raise HyperparameterError(
            f"expected norm='linf' or 'l2' for {label}, which is bounded in neither, got None"
        )
    return chosen

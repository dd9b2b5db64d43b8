"""Where a running covariance gets its perturbations from while a model trains."""

from typing import Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import PGD
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.errors import UnknownNameError
from steadygrad.evaluation_mode import evaluation_mode

__all__ = [
    "PGD_EPS",
    "PerturbingAttack",
    "SourceName",
    "attack_perturbations",
    "deepfool_source",
    "pgd_source",
    "resolve_source",
]

SourceName: TypeAlias = Literal["gradient", "fgsm", "pgd", "deepfool"]

PGD_EPS = 8 / 255
"""Radius of the attack behind "pgd"."""


class PerturbingAttack(Protocol):
    """Any attack of ``steadygrad.attacks``."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> Images: ...


def pgd_source(*, eps: float = PGD_EPS, steps: int = 10) -> PGD:
    """Return PGD as a source of perturbations: ``steps`` steps of ``2 * eps / steps``.

    A running covariance forgets how long perturbations are, but not what else ``eps`` decides: how
    far from the image the gradients are taken, and how often the ends of the pixel range cut in.
    Raises: HyperparameterError, if eps is outside [0, 1] or steps below 1.
    Source: Roth et al., arXiv:1805.08736, Table 2 (10 steps of eps / 5) and section 7.2 (away from
        the model's own prediction). Without a random start, so that a penalty draws nothing and a
        resumed training repeats itself.
    """
    return PGD(eps=eps, steps=steps, reach=2.0, random_start=False, start_from_prediction=True)


def deepfool_source(*, steps: int = 100) -> DeepFool:
    """Return DeepFool as a source of perturbations, of at most ``steps`` steps.

    Raises: HyperparameterError, if steps is below 1.
    """
    return DeepFool(steps=steps)


_ATTACKS: dict[str, PerturbingAttack] = {"pgd": pgd_source(), "deepfool": deepfool_source()}
_OF_GRADIENT = ("gradient", "fgsm")
assert {*_OF_GRADIENT, *_ATTACKS} == set(get_args(SourceName))


def resolve_source(source: str | PerturbingAttack) -> PerturbingAttack | None:
    """Return the attack behind a source, or None for one made of the penalty's own gradient.

    Raises: UnknownNameError, listing the names.
    """
    if not isinstance(source, str):
        return source
    if source in _OF_GRADIENT:
        return None
    if source not in _ATTACKS:
        raise UnknownNameError(
            f"expected source one of {', '.join(get_args(SourceName))}, got {source!r}"
        )
    return _ATTACKS[source]


def attack_perturbations(
    attack: PerturbingAttack, model: Classifier, images: Images, labels: Labels
) -> Tensor:
    """Return what the attack adds to the images; the model, in eval mode meanwhile, is as before.

    In training mode each attack step would move batch norm's running statistics, and dropout would
    show the attack another network every time.
    """
    with evaluation_mode(model):
        return attack(model, images, labels) - images

"""Where a running covariance gets its perturbations from while a model trains."""

from typing import Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import PGD
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.errors import UnknownNameError
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["PerturbingAttack", "SourceName", "attack_perturbations", "resolve_source"]

SourceName: TypeAlias = Literal["gradient", "fgsm", "pgd", "deepfool"]

EPS = 8 / 255
"""Radius of the attack behind "pgd"; the covariance forgets it, but not the pixel range's end."""


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


_ATTACKS: dict[str, PerturbingAttack] = {
    # Table 2 of Roth et al.: 10 steps of a fifth of the radius, away from the prediction. Without a
    # random start, so that a penalty draws nothing and a resumed training repeats itself.
    "pgd": PGD(
        eps=EPS, steps=10, step_size=EPS / 5, random_start=False, start_from_prediction=True
    ),
    "deepfool": DeepFool(),
}
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

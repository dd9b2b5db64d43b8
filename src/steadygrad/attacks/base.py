"""What an attack is: a small frozen object that turns images into adversarial images."""

import dataclasses
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import AnyNorm
from steadygrad.errors import HyperparameterError

__all__ = ["Attack", "AttackType", "norm_of", "with_eps"]


@runtime_checkable
class Attack(Protocol):
    """Settings in the fields, tensors in the call: ``attack(model, images, labels)``.

    eps: largest change of any pixel, in units of the pixel range (8/255, not 8); with
        ``norm="l2"`` or "l1" the length of an image's whole change, which may exceed 1; of Gaussian
        noise (``LongRangeCorrelated``, ``WhiteNoise``) its standard deviation, which pixels
        exceed.

    A call returns a new tensor of the images' shape, dtype and device, inside [0, 1] and, Gaussian
    noise apart, inside the ball of ``eps`` around the images. It leaves the images and the model
    as they were: no ``.grad`` appears, no mode changes, and of a registered attack no buffer, such
    as the statistics of a batch norm in training mode. The caller chooses the mode; evaluation
    wants ``model.eval()``.

    Randomness comes from ``generator`` alone, or from torch's global one if that is None. A
    generator may live on another device than the images: numbers are drawn where the generator
    is, so a CPU generator gives the same start on a CPU and on a GPU. An attack draws for the
    whole batch at once and never for a part of it, so that what an example gets depends on its
    place in the batch and not on the fate of its neighbours.
    """

    @property
    def eps(self) -> float:
        """Size of the change in the attack's norm, or standard deviation of the noise."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial images, shaped like ``images``."""


AttackType = TypeVar("AttackType", bound=Attack)


def with_eps(attack: AttackType, eps: float) -> AttackType:
    """Return the same attack at another radius; a step size left to its default follows ``eps``.

    Raises: HyperparameterError, if the attack is no dataclass or refuses the radius.
    """
    if not dataclasses.is_dataclass(type(attack)):
        raise HyperparameterError(
            f"expected an attack that is a dataclass with a field eps, got {type(attack).__name__}"
        )
    untyped: Any = attack  # that an attack is a dataclass is a convention, not part of its type
    moved: AttackType = dataclasses.replace(untyped, eps=eps)
    return moved


def norm_of(attack: Attack) -> AnyNorm:
    """Return the norm of the attack's ball: its field ``norm``, L-infinity if it has none."""
    norm: AnyNorm = getattr(attack, "norm", "linf")
    return norm

"""Mixing images of a batch as a part: mixup and CutMix, with soft labels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from steadygrad._typing import Images, Labels
from steadygrad.checks import is_like
from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family

__all__ = ["MIXINGS", "CutMix", "Mixing", "Mixup", "mixed", "mixing"]

C = TypeVar("C", bound=type[Any])


class Mixing(Protocol):
    """Makes new examples of pairs of a batch."""

    def mix(
        self, images: Images, labels: Labels, classes: int, generator: torch.Generator
    ) -> tuple[Images, Tensor]:
        """Return images and floating labels, (batch, classes), probabilities of the classes."""
        ...


MIXINGS: Family[Mixing] = Family("mixing", "steadygrad.training", group="steadygrad.mixings")
"""Every registered way to mix the images and labels of a batch."""


def mixing(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``Mixing`` under ``name``."""
    return MIXINGS.register(name)


def mixed(
    part: Mixing, images: Images, labels: Labels, classes: int, generator: torch.Generator
) -> tuple[Images, Tensor]:
    """Return what a mixing makes of a batch, as ``Mixing.mix``.

    Raises:
        HyperparameterError: it returns something else than such images and labels.
    """
    made: object = part.mix(images, labels, classes, generator)
    if isinstance(made, tuple) and len(made) == 2 and all(isinstance(x, Tensor) for x in made):
        of_images, soft = made
        if (
            is_like(of_images, images)
            and soft.is_floating_point()
            and soft.shape == (len(images), classes)
        ):
            return of_images, soft
        came = " and ".join(f"{each.dtype} of shape {tuple(each.shape)}" for each in made)
    else:
        came = type(made).__name__
    raise HyperparameterError(
        f"expected the mixing {MIXINGS.text(part)} to return {images.dtype} of shape "
        f"{tuple(images.shape)} and floating labels of shape ({len(images)}, {classes}), got {came}"
    )


@mixing("mixup")
@dataclass(frozen=True, kw_only=True)
class Mixup:
    """``w x_i + (1 - w) x_j`` and the same of the labels, one ``w ~ Beta(alpha, alpha)`` a batch.

    Args:
        alpha: positive; the smaller, the closer most images are to one of the two.

    Source: Zhang et al., ICLR 2018 (arXiv:1710.09412), Eq. (1).
    """

    positional: ClassVar[str] = "alpha"

    alpha: float = 0.2

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def mix(
        self, images: Images, labels: Labels, classes: int, generator: torch.Generator
    ) -> tuple[Images, Tensor]:
        """Return the mixed batch."""
        weight = _beta(self.alpha, generator)
        order = _order(images, generator)
        soft = one_hot(labels, classes).to(images.dtype)
        mixed = weight * images + (1 - weight) * images[order]
        return mixed, weight * soft + (1 - weight) * soft[order]


@mixing("cutmix")
@dataclass(frozen=True, kw_only=True)
class CutMix:
    """A rectangle of another image pasted into each, and its area's share of the other label.

    Args:
        alpha: positive; of the ``Beta(alpha, alpha)`` that draws the share that is kept.

    Source: Yun et al., ICCV 2019 (arXiv:1905.04899), Eqs. (1) and (2).
    """

    positional: ClassVar[str] = "alpha"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def mix(
        self, images: Images, labels: Labels, classes: int, generator: torch.Generator
    ) -> tuple[Images, Tensor]:
        """Return the mixed batch."""
        kept = _beta(self.alpha, generator)
        order = _order(images, generator)
        height, width = images.shape[-2:]
        draws = torch.rand(2, generator=generator, device=generator.device).tolist()
        side = math.sqrt(1 - kept)
        rows, columns = (
            slice(
                max(0, round(draw * length - side * length / 2)),
                min(length, round(draw * length + side * length / 2)),
            )
            for draw, length in zip(draws, (height, width), strict=True)
        )
        mixed = images.clone()
        mixed[..., rows, columns] = images[order][..., rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        soft = one_hot(labels, classes).to(images.dtype)
        return mixed, (1 - area) * soft + area * soft[order]


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < math.inf:
        raise HyperparameterError(f"expected alpha > 0, got {alpha}")


def _beta(alpha: float, generator: torch.Generator) -> float:
    # torch's Beta takes no generator; Python's takes a seed, and ours draws it.
    seed = torch.randint(1 << 62, (), generator=generator, device=generator.device)
    return Random(int(seed)).betavariate(alpha, alpha)


def _order(images: Images, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(images), generator=generator, device=generator.device).to(
        images.device
    )

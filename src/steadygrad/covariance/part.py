"""Covariances and what they learn from as parts, and what a part needs to know of the data."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from steadygrad._typing import Images
from steadygrad.covariance.operator import Covariance, ImageShape, check_image_shape
from steadygrad.errors import ShapeError
from steadygrad.parts import Family

__all__ = [
    "COVARIANCES",
    "SOURCES",
    "CovarianceAbout",
    "CovariancePart",
    "DataFacts",
    "Source",
    "built",
    "covariance",
    "prepared",
    "source",
]

C = TypeVar("C", bound=type[Any])


@dataclass(frozen=True)
class DataFacts:
    """What a part may ask of the training data before the first step.

    Args:
        image_shape: channels, height, width.
        images: called for one pass over the training images, in batches (batch, channels, height,
            width), uint8 or floating in [0, 1]; None where there are none.
    """

    image_shape: ImageShape
    images: Callable[[], Iterator[Images]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", check_image_shape(self.image_shape))


@runtime_checkable
class CovariancePart(Protocol):
    """A covariance before the images' size is known: settings alone, nothing tensor-like."""

    def build(self, facts: DataFacts) -> Covariance:
        """Return the operator for these images."""
        ...


@dataclass(frozen=True)
class CovarianceAbout:
    """What others ask of a covariance without building it.

    Attributes:
        title: its name for people.
        is_running: whether it learns while a network trains.
    """

    title: str
    is_running: bool


class Source(Protocol):
    """The perturbations that a running covariance learns from.

    One whose ``attack()`` is None also has ``of_gradient(gradient)``, which makes perturbations of
    the input gradients (batch, channels, height, width) that a penalty has computed anyway.
    """

    def attack(self) -> Callable[..., Images] | None:
        """Return the attack that makes them, ``attack(model, images, labels)``, or None."""
        ...


def _covariance_file(text: str) -> CovariancePart | None:
    """Read the path of a covariance file, which need not be there yet."""
    if not (text.endswith(".safetensors") or os.sep in text):
        return None
    found: CovariancePart = COVARIANCES.get("file")(path=Path(text))
    return found


COVARIANCES: Family[Any] = Family(
    "covariance",
    "steadygrad.covariance",
    group="steadygrad.covariances",
    fallback=_covariance_file,
)
"""Every registered covariance of the structured penalty; a path is a covariance file."""

SOURCES: Family[Any] = Family("source", "steadygrad.penalties", group="steadygrad.sources")
"""Every registered source of the perturbations that a covariance is learned from."""


def covariance(
    name: str, *, title: str, is_running: bool = False, replace: bool = False
) -> Callable[[C], C]:
    """Register a frozen dataclass with a method ``build(facts)`` as the covariance ``name``.

    Args:
        title: its name for people; ``COVARIANCES.about(part).title``.
        is_running: whether what it builds is a ``RunningCovariance``.
        replace: take the place of a covariance that has the name.
    """
    return COVARIANCES.register(name, CovarianceAbout(title, is_running), replace=replace)


def source(name: str, *, title: str, replace: bool = False) -> Callable[[C], C]:
    """Register a frozen dataclass as the source ``name``; its title is ``SOURCES.about(part)``."""
    return SOURCES.register(name, title, replace=replace)


def built(value: Any, facts: DataFacts) -> Covariance:
    """Return the covariance that a part, its text or its table describes, or one as it is.

    Raises:
        ShapeError: it is of another image size than ``facts``.
        UnknownNameError, HyperparameterError: there is no such part, or its settings do not fit.
    """
    found = value
    if not isinstance(value, Covariance):
        part = COVARIANCES.of(value)
        found = part if isinstance(part, Covariance) else part.build(facts)
        is_of_shape = COVARIANCES.name_of(part) is None or not COVARIANCES.about(part).is_running
        if is_of_shape and found.image_shape != facts.image_shape:
            raise ShapeError(
                f"expected a covariance of images {facts.image_shape}, got {found.image_shape}"
            )
    operator: Covariance = found
    return operator


def prepared(part: Any, facts: DataFacts) -> Any:
    """Return a part ready for use: a part that needs the data has a method ``prepared(facts)``.

    Everything else is returned as it is.
    """
    prepare = getattr(part, "prepared", None)
    return part if prepare is None else prepare(facts)

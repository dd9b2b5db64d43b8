"""Penalties, norms, backends and losses as parts: the families in which each is registered."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.errors import HyperparameterError
from steadygrad.parts import Family, nearest

__all__ = [
    "BACKENDS",
    "LOSSES",
    "NORMS",
    "PENALTIES",
    "Backend",
    "ExampleLoss",
    "GradientNorm",
    "PenalizedLoss",
    "Penalty",
    "PenaltyAbout",
    "PenaltyTerms",
    "backend",
    "loss",
    "names_misspelt_settings",
    "norm",
    "penalty",
]

C = TypeVar("C", bound=type[Any])

ExampleLoss: TypeAlias = Callable[[Logits, Tensor], Tensor]
"""From logits (batch, classes) and labels to one loss an image, (batch,), never averaged."""


class GradientNorm(Protocol):
    """A norm ``N`` of each example's input gradient ``g``, shape (batch, ...)."""

    @property
    def ball(self) -> str:
        """The ball over which ``eps * N(g)`` is the largest first-order change of the loss."""
        ...

    def value(self, gradient: Tensor) -> Tensor:
        """Return ``N(g)``, shape (batch,), differentiable in ``g``; derivative 0 where ``g`` is."""
        ...

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``N(g)^2``, shape (batch,), differentiable in ``g``."""
        ...

    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``N(g)``, shape (batch,), and ``v(g)``, shaped like ``g``: ``v . g = N(g)``.

        Both are constants: the parameter gradient of ``N(g)^2`` is ``2 N(g)`` times that of the
        loss's directional derivative along this ``v``. Where ``g`` is 0, so are both.
        """
        ...


@dataclass(frozen=True)
class PenaltyTerms:
    """Per-example terms of one batch.

    Attributes:
        losses: of the data, shape (batch,).
        norms: ``N(g_i) ** power``, shape (batch,): each value is exact. The derivative of their
            *mean* by the parameters is that of the mean, or the backend's approximation of it.
        logits: (batch, classes).
    """

    losses: Tensor
    norms: Tensor
    logits: Logits


class Backend(Protocol):
    """A way to compute an input-gradient norm that ``backward()`` can go through."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        norm: GradientNorm,
        *,
        power: int = 2,
        loss: ExampleLoss | None = None,
    ) -> PenaltyTerms:
        """Return the terms of one batch.

        Args:
            power: 2 for the squared norm, 1 for the norm.
            loss: one loss an image; None is the cross-entropy.
        """
        ...


@dataclass(frozen=True)
class PenalizedLoss:
    """A training loss and its two terms; all but ``logits`` are scalars.

    They have a graph where autograd records one; under ``no_grad`` and ``inference_mode`` they are
    plain values. To ramp a penalty in, minimise ``data_loss + share * penalty``.

    Attributes:
        loss: what to call ``backward()`` on; ``data_loss + penalty``.
        data_loss: mean loss of the images, in nats for the cross-entropies.
        penalty: mean penalty, already multiplied by its strength; at least 0, unless it is one
            with a mean (Roth et al., Eq. 12).
        logits: (batch, classes), of the same forward pass as ``data_loss``.
    """

    loss: Tensor
    data_loss: Tensor
    penalty: Tensor
    logits: Logits


class Penalty(Protocol):
    """What every penalty is once it is prepared: a loss of a model on a batch."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,
    ) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        Args:
            images: (batch, channels, height, width) in [0, 1].
            labels: int64 (batch,), or what ``loss`` takes, such as (batch, classes) for mixup.
            loss: one loss an image; None is the cross-entropy.
            generator: for a penalty that draws something; those of steadygrad draw nothing.
        """
        ...


@dataclass(frozen=True)
class PenaltyAbout:
    """What others ask of a penalty without building it.

    Attributes:
        title: its name for people.
        size: the setting that scales it, "strength" or "eps".
    """

    title: str
    size: str


PENALTIES: Family[Any] = Family("penalty", "steadygrad.penalties")
"""Some need the data before they can be called: see ``steadygrad.covariance.prepared``."""

NORMS: Family[GradientNorm] = Family("norm", "steadygrad.penalties", group="steadygrad.norms")
"""Every registered norm of the input gradient."""

LOSSES: Family[ExampleLoss] = Family("loss", "steadygrad.penalties", group="steadygrad.losses")
"""Every registered loss of single images."""


def _old_backend(text: str) -> Backend | None:
    """Understand ``double_backprop`` and ``finite_difference``, as these were once written."""
    name, colon, rest = text.partition(":")
    today = name.strip().replace("_", "-")
    return BACKENDS.parse(f"{today}{colon}{rest}") if today in BACKENDS.names() else None


BACKENDS: Family[Backend] = Family(
    "backend", "steadygrad.penalties", group="steadygrad.backends", fallback=_old_backend
)
"""Every registered way to differentiate a penalty."""


def penalty(
    name: str, *, title: str, size: str = "strength", replace: bool = False
) -> Callable[[C], C]:
    """Register a frozen dataclass as the penalty ``name``.

    Args:
        title: its name for people; ``PENALTIES.about(part).title``.
        size: the setting that scales it.
        replace: take the place of a penalty that has the name.
    """
    register = PENALTIES.register(name, PenaltyAbout(title, size), replace=replace)
    return lambda cls: names_misspelt_settings(register(cls))


def names_misspelt_settings(cls: C) -> C:
    """Let the constructor of a dataclass name the nearest setting to an unknown one.

    Raises:
        HyperparameterError: from the constructor.
    """
    settings = [field.name for field in dataclasses.fields(cls) if field.init]
    build = cls.__init__

    @wraps(build)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        for key in named:
            if key not in settings:
                raise HyperparameterError(
                    f"{cls.__name__} has no setting {key!r}{nearest(key, settings)}; choose from "
                    f"{', '.join(settings)}"
                )
        build(self, *values, **named)

    cls.__init__ = checked
    return cls


def norm(name: str, *, title: str, replace: bool = False) -> Callable[[C], C]:
    """Register a frozen dataclass as the norm ``name``; its title is ``NORMS.about(part)``."""
    return NORMS.register(name, title, replace=replace)


def backend(name: str, *, title: str, replace: bool = False) -> Callable[[C], C]:
    """Register a frozen dataclass as the backend ``name``; its title is its ``about``."""
    return BACKENDS.register(name, title, replace=replace)


def loss(name: str, *, title: str, replace: bool = False) -> Callable[[C], C]:
    """Register a frozen dataclass as the loss ``name``; its title is its ``about``."""
    return LOSSES.register(name, title, replace=replace)

"""Penalties on a norm of each example's input gradient: squared, plain, and GN."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_eps
from steadygrad.penalties.backends import DoubleBackprop
from steadygrad.penalties.norms import L1, L2
from steadygrad.penalties.part import (
    BACKENDS,
    NORMS,
    Backend,
    ExampleLoss,
    GradientNorm,
    PenalizedLoss,
    penalty,
)
from steadygrad.penalties.penalized import check_fraction, check_strength, penalized_loss

__all__ = ["GradientNormPenalty", "NormPenalty", "SquaredNormPenalty"]


@penalty("squared-norm", title="Squared gradient norm")
@dataclass(frozen=True, kw_only=True)
class SquaredNormPenalty:
    """Add ``strength * mean_i N(g_i)^2`` to the mean loss of a batch.

    ``g_i`` is example i's own input gradient, in nats per pixel unit: the penalty does not
    change with the batch size, with gradient accumulation, or across ranks. (Under batch norm in
    training mode it is not quite the example's own: see ``DoubleBackprop(statistics=...)``.)

    Args:
        strength: at least 0; 0 gives the plain loss to the bit. The beta of Yeats et al. (2021)
            belongs to the gradient of a batch *mean*: ``strength = beta / batch_size**2``, so
            their beta = 512 at batch size 64 is 0.125. ``suggest_strength`` measures what suits a
            network.
        norm: ``L1()`` (squared L1, their choice; the dual of an L-infinity attack), ``L2()``,
            ``Linf()``, any other norm object, or a norm's text such as "l1".
        backend: ``DoubleBackprop()`` (exact), ``FiniteDifference()``, or a backend's text such as
            "finite-difference:order=2".
        fraction: penalise the first ``ceil(fraction * batch)`` images of a batch alone, which
            makes a step cheaper; the mean over these has the same expectation, because training
            batches are shuffled. In (0, 1].

    Raises:
        HyperparameterError: a number is outside its range.
        UnknownNameError: there is no such norm or backend.

    Source: Yeats, Chen & Li, ICML 2021, Eq. (3).
    """

    strength: float
    norm: Annotated[GradientNorm | str, NORMS] = L1()
    backend: Annotated[Backend | str, BACKENDS] = DoubleBackprop()
    fraction: float = 1.0

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_fraction(self.fraction)
        object.__setattr__(self, "norm", NORMS.of(self.norm))
        object.__setattr__(self, "backend", BACKENDS.of(self.backend))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        Args:
            images: (batch, channels, height, width) in [0, 1].
            labels: int64 (batch,), or what ``loss`` takes.
            loss: one loss an image; None is the cross-entropy.

        Raises:
            ImageError, LabelError, ModelError: one of them does not fit.
        """
        return penalized_loss(
            model,
            images,
            labels,
            factor=self.strength,
            norm=NORMS.of(self.norm),
            power=2,
            backend=BACKENDS.of(self.backend),
            fraction=self.fraction,
            loss=loss,
        )


@penalty("gn", title="GN")
@dataclass(frozen=True, kw_only=True)
class GradientNormPenalty:
    """Add ``strength * mean_i |g_i|_2^2``: the squared L2 norm, which Roth et al. call GN.

    The same as ``SquaredNormPenalty(norm=L2())``. ``strength`` is *half* the paper's gamma, whose
    Omega carries a factor one half (``strength_from_lambda``).

    Args:
        strength: at least 0; 0 gives the plain loss to the bit.
        backend: as in ``SquaredNormPenalty``.
        fraction: as in ``SquaredNormPenalty``.

    Source: Roth et al., arXiv:1805.08736, Eq. (11) with the identity.
    """

    strength: float
    backend: Annotated[Backend | str, BACKENDS] = DoubleBackprop()
    fraction: float = 1.0

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_fraction(self.fraction)
        object.__setattr__(self, "backend", BACKENDS.of(self.backend))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> PenalizedLoss:
        """Return the loss and its terms, as ``SquaredNormPenalty`` does."""
        same = SquaredNormPenalty(
            strength=self.strength, norm=L2(), backend=self.backend, fraction=self.fraction
        )
        return same(model, images, labels, loss=loss)


@penalty("norm", title="Gradient norm", size="eps")
@dataclass(frozen=True, kw_only=True)
class NormPenalty:
    """Add ``eps * mean_i N(g_i)``: how much the loss grows, to first order, within a ball.

    ``max_{|d| <= eps} g . d = eps * N(g)``, N the dual norm of the ball: L1 for the L-infinity
    ball, L2 for the L2 ball. The radius is the only number to choose.

    Args:
        eps: radius of the ball in pixel units: in [0, 1] for "linf" (8/255, not 8), at least 0
            for "l2"; 0 gives the plain loss to the bit.
        ball: "linf" or "l2".
        backend: as in ``SquaredNormPenalty``.
        fraction: as in ``SquaredNormPenalty``.

    Raises:
        HyperparameterError: a number is outside its range.
        UnknownNameError: there is no such ball or backend.

    Source: Simon-Gabriel et al., ICML 2019 (arXiv:1802.01421).
    """

    eps: float
    ball: Literal["linf", "l2"] = "linf"
    backend: Annotated[Backend | str, BACKENDS] = DoubleBackprop()
    fraction: float = 1.0

    def __post_init__(self) -> None:
        check_eps(self.eps, self.ball)
        check_fraction(self.fraction)
        object.__setattr__(self, "backend", BACKENDS.of(self.backend))

    @property
    def norm(self) -> GradientNorm:
        """The ball's dual norm."""
        return L1() if self.ball == L1.ball else L2()

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> PenalizedLoss:
        """Return the loss and its terms, as ``SquaredNormPenalty`` does."""
        return penalized_loss(
            model,
            images,
            labels,
            factor=self.eps,
            norm=self.norm,
            power=1,
            backend=BACKENDS.of(self.backend),
            fraction=self.fraction,
            loss=loss,
        )

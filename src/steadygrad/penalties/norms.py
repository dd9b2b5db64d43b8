"""Input-gradient norms N(g) and the direction v(g) in which each is steepest: v . g = N(g)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd import Function

from steadygrad.covariance import Covariance
from steadygrad.penalties.part import norm

__all__ = ["L1", "L2", "CovarianceNorm", "Linf"]

"""Name of a norm of the input gradient."""


@norm("l1", title="L1")
@dataclass(frozen=True)
class L1:
    """Sum of absolute entries; ``v = sign(g)``, the direction of a sign-gradient attack."""

    ball: ClassVar[str] = "linf"

    def value(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_1``."""
        return gradient.flatten(start_dim=1).abs().sum(dim=1)

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_1^2``."""
        return self.value(gradient).square()

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|g|_1`` and ``sign(g)``."""
        return self.value(gradient), gradient.sign()


@norm("l2", title="L2")
@dataclass(frozen=True)
class L2:
    """Euclidean length; ``v = g / |g|``."""

    ball: ClassVar[str] = "l2"

    def value(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_2``."""
        return _root(self.squared(gradient))

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_2^2``."""
        return gradient.flatten(start_dim=1).square().sum(dim=1)

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|g|_2`` and the unit vector along ``g``."""
        length = gradient.flatten(start_dim=1).norm(dim=1)
        # Below the smallest normal number a gradient counts as 0, and 0 / tiny is 0, not NaN.
        divisor = length.clamp_min(torch.finfo(gradient.dtype).tiny)
        return length, gradient / divisor.view(-1, *[1] * (gradient.ndim - 1))


@norm("linf", title="Linf")
@dataclass(frozen=True)
class Linf:
    """Largest absolute entry; ``v`` is that entry's signed unit vector (the first among equals)."""

    ball: ClassVar[str] = "l1"

    def value(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_inf``."""
        return self._entry(gradient).abs()

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_inf^2``."""
        return self._entry(gradient).square()

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|g|_inf`` and the signed unit vector of the largest entry."""
        rows = gradient.flatten(start_dim=1)
        largest = rows.abs().argmax(dim=1, keepdim=True)
        entry = rows.gather(1, largest)
        direction = torch.zeros_like(rows).scatter_(1, largest, entry.sign())
        return entry.abs().squeeze(1), direction.view_as(gradient)

    def _entry(self, gradient: Tensor) -> Tensor:
        rows = gradient.flatten(start_dim=1)
        # gather, not amax: amax would share the derivative among equal entries.
        largest = rows.detach().abs().argmax(dim=1, keepdim=True)
        return rows.gather(1, largest).squeeze(1)


@dataclass(frozen=True, eq=False)
class CovarianceNorm:
    """``N(g) = sqrt(g^T Sigma g)``, with ``v = Sigma g / N``; a norm where ``Sigma`` is definite.

    Args:
        covariance: ``Sigma``, of the images' size.
        mean: ``mu``, (channels, height, width); adds ``2 g . mu`` to ``N(g)^2``, which may then be
            negative, so that ``value`` is no longer defined.
    """

    ball: ClassVar[str] = "ellipsoid"

    covariance: Covariance
    mean: Tensor | None = None

    def value(self, gradient: Tensor) -> Tensor:
        """Return ``sqrt(g^T Sigma g)``, without the mean."""
        return _root(CovarianceNorm(self.covariance).squared(gradient))

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``g^T Sigma g`` (+ ``2 g . mu``), never below 0 without a mean.

        The first backward pass applies ``Sigma`` no second time.
        """
        energy: Tensor
        energy, _ = _Energy.apply(gradient, self.covariance)  # type: ignore[no-untyped-call] # torch leaves it untyped
        # Rounding alone can bring a semidefinite form below 0.
        energy = energy - energy.detach().clamp(max=0)
        if self.mean is None:
            return energy
        rows = gradient.flatten(start_dim=1)
        return energy + 2 * (rows @ self.mean.to(rows).flatten())

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``sqrt(g^T Sigma g)`` and ``Sigma g`` over it; both 0 where that is 0.

        With a mean, the Euclidean length of ``Sigma g + mu`` and its unit vector: twice their
        product is what a small change of ``g`` changes in ``squared(g)``.
        """
        smoothed = self.covariance.apply(gradient)
        if self.mean is not None:
            return L2().steepest(smoothed + self.mean.to(smoothed))
        length = (gradient * smoothed).flatten(start_dim=1).sum(dim=1).clamp(min=0).sqrt()
        divisor = length.view(-1, *[1] * (gradient.ndim - 1))
        return length, torch.where(divisor > 0, smoothed / divisor, 0.0)


class _Energy(Function):
    """``g^T Sigma g``. Its derivative, ``2 Sigma g``, is kept from the forward pass."""

    @staticmethod
    def forward(gradient: Tensor, covariance: Covariance) -> tuple[Tensor, Tensor]:
        smoothed = covariance.apply(gradient)
        return (gradient * smoothed).flatten(start_dim=1).sum(dim=1), smoothed

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        gradient, ctx.covariance = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # no zeros of the images' size for the second output
        ctx.save_for_backward(gradient, output[1])

    @staticmethod
    def backward(ctx: Any, of_energy: Tensor | None, _: None) -> tuple[Tensor | None, None]:
        if of_energy is None:
            return None, None
        gradient, smoothed = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            smoothed = ctx.covariance.apply(gradient)
        return (2 * of_energy).view(-1, *[1] * (gradient.ndim - 1)) * smoothed, None


def _root(squares: Tensor) -> Tensor:
    """Return the square root, whose derivative at 0 is taken as 0."""
    is_zero = squares == 0
    return torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, squares).sqrt())

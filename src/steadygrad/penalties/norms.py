"""Input-gradient norms N(g) and the direction v(g) in which each is steepest: v . g = N(g)."""

from typing import Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad.errors import UnknownNameError

__all__ = ["L1", "L2", "GradientNorm", "Linf", "NormName", "norm_by_name"]

NormName: TypeAlias = Literal["l1", "l2", "linf"]


class GradientNorm(Protocol):
    """A norm of each example's input gradient ``g``, shape (batch, ...)."""

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``N(g)^2``, shape (batch,), differentiable in ``g``."""
        ...

    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``N(g)``, shape (batch,), and ``v(g)``, shaped like ``g``: ``v . g = N(g)``.

        Both are constants: the parameter gradient of ``N(g)^2`` is ``2 N(g)`` times that of the
        loss's directional derivative along this ``v``. Where ``g`` is 0, so are both.
        """
        ...


class L1:
    """Sum of absolute entries; ``v = sign(g)``, the direction of a sign-gradient attack."""

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_1^2``."""
        return gradient.flatten(start_dim=1).abs().sum(dim=1).square()

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|g|_1`` and ``sign(g)``."""
        return gradient.flatten(start_dim=1).abs().sum(dim=1), gradient.sign()


class L2:
    """Euclidean length; ``v = g / |g|``."""

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


class Linf:
    """Largest absolute entry; ``v`` is that entry's signed unit vector (the first among equals)."""

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``|g|_inf^2``."""
        rows = gradient.flatten(start_dim=1)
        # gather, not amax: amax would share the derivative among equal entries.
        largest = rows.detach().abs().argmax(dim=1, keepdim=True)
        return rows.gather(1, largest).squeeze(1).square()

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|g|_inf`` and the signed unit vector of the largest entry."""
        rows = gradient.flatten(start_dim=1)
        largest = rows.abs().argmax(dim=1, keepdim=True)
        entry = rows.gather(1, largest)
        direction = torch.zeros_like(rows).scatter_(1, largest, entry.sign())
        return entry.abs().squeeze(1), direction.view_as(gradient)


_NORMS: dict[str, type[GradientNorm]] = {"l1": L1, "l2": L2, "linf": Linf}
assert set(_NORMS) == set(get_args(NormName))


def norm_by_name(name: str) -> GradientNorm:
    """Return the norm called "l1", "l2" or "linf".

    Raises: UnknownNameError, listing the names.
    """
    if name not in _NORMS:
        raise UnknownNameError(f"unknown norm {name!r}; choose one of {', '.join(_NORMS)}")
    return _NORMS[name]()

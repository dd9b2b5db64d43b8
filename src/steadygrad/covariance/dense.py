"""Covariance as the full matrix, for images small enough."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.operator import (
    FixedCovariance,
    ImageShape,
    check_dense_size,
    check_scale,
)
from steadygrad.covariance.semidefinite import check_numbers
from steadygrad.errors import CovarianceError, ShapeError

__all__ = ["DenseCovariance"]

TOLERANCE = 1e-6
"""How asymmetric or negative a matrix may be through rounding, relative to its largest entry."""


class DenseCovariance(FixedCovariance):
    """The matrix itself: O(d^2) memory and time, d = channels * height * width.

    matrix: real, (d, d), pixels in row-major order of (channel, row, column).
    verify: False skips the checks of a matrix that is known to be semidefinite.
    Raises: ShapeError; CovarianceError, if the matrix is NaN, asymmetric, indefinite or too large.
    Source: Roth et al., arXiv:1805.08736, Eq. (15).
    """

    kind: ClassVar[str] = "dense"

    def __init__(self, matrix: Tensor, image_shape: ImageShape, *, verify: bool = True) -> None:
        super().__init__(image_shape)
        pixels = check_dense_size(self.image_shape)
        if matrix.shape != (pixels, pixels):
            raise ShapeError(
                f"expected a matrix of shape ({pixels}, {pixels}) for images {self.image_shape}, "
                f"got {tuple(matrix.shape)}"
            )
        if verify:
            _check_matrix(matrix)
        self.matrix = matrix.detach()

    @property
    def mean_diagonal(self) -> float:
        """Mean variance of a pixel."""
        return self.matrix.diagonal().mean().item()

    def scaled(self, factor: float) -> "DenseCovariance":
        """Return ``factor * Sigma``."""
        check_scale(factor)
        return DenseCovariance(self.matrix * factor, self.image_shape, verify=False)

    def tensors(self) -> dict[str, Tensor]:
        """Return the matrix."""
        return {"matrix": self.matrix}

    def settings(self) -> dict[str, Any]:
        """Return nothing: the matrix says it all."""
        return {}

    @classmethod
    def from_parts(
        cls, image_shape: ImageShape, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> "DenseCovariance":
        """Build from a matrix, checking it."""
        return cls(tensors["matrix"], image_shape, **settings)

    def _apply(self, images: Images) -> Images:
        matrix = self._working_copy("matrix", images, lambda d, device: self.matrix.to(device, d))
        return (images.flatten(start_dim=1) @ matrix).view_as(images)

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        noise = white_noise(count, len(self.matrix))
        factor = self._working_copy("factor", noise, self._factor)
        return (noise @ factor.T).view(count, *self.image_shape)

    def _factor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        return cholesky_factor(self.matrix).to(device, dtype)


def cholesky_factor(matrix: Tensor) -> Tensor:
    """Return ``L``, float64 and lower triangular, with ``L L^T`` the semidefinite matrix.

    A singular matrix gets the smallest of 1e-12, 1e-11, ... times its mean diagonal added to its
    diagonal that makes the factorization succeed.
    Raises: CovarianceError, if 1e-4 does not do.
    """
    wide = matrix.double()
    unit = wide.diagonal().mean() * torch.eye(len(wide), dtype=wide.dtype, device=wide.device)
    for jitter in (0.0, *(10.0**exponent for exponent in range(-12, -3))):
        factor: Tensor
        factor, failure = torch.linalg.cholesky_ex(wide + jitter * unit)
        if not failure.item():
            return factor
    raise CovarianceError("expected a positive semidefinite matrix, got an indefinite one")


def _check_matrix(matrix: Tensor) -> None:
    check_numbers(matrix)
    scale = matrix.abs().max().item()
    asymmetry = (matrix - matrix.T).abs().max().item()
    if asymmetry > TOLERANCE * scale:
        raise CovarianceError(
            f"expected a symmetric covariance, got entries that differ by {asymmetry:.3g}"
        )
    # A factorization of the matrix, lifted by what rounding may have cost, is a fifth of the time
    # of its eigenvalues, which only the message needs.
    lift = torch.eye(len(matrix), dtype=torch.float64) * (TOLERANCE * scale * len(matrix))
    _, failure = torch.linalg.cholesky_ex(matrix.double().cpu() + lift)
    if failure.item():
        smallest = torch.linalg.eigvalsh(matrix.double()).min().item()
        raise CovarianceError(
            "expected a positive semidefinite covariance, "
            f"got a smallest eigenvalue of {smallest:.3g}"
        )

"""What the covariances have in common that a kernel on a circle or a torus describes."""

from abc import abstractmethod
from typing import Any, Self

from torch import Tensor

from steadygrad.covariance.operator import FixedCovariance, ImageShape, check_scale
from steadygrad.covariance.semidefinite import Repair, check_semidefinite, check_symmetry

__all__ = ["KernelCovariance"]


class KernelCovariance(FixedCovariance):
    """A covariance that is known from its kernel ``(m, m, ...)``, displacements in FFT order.

    Arguments and errors: those of its two kinds, by columns and by displacements.
    """

    def __init__(
        self,
        kernel: Tensor,
        image_shape: ImageShape,
        *,
        repair: Repair | None = None,
        verify: bool = True,
    ) -> None:
        super().__init__(image_shape)
        self._check_shape(kernel)
        if verify:
            check_symmetry(kernel)
            check_semidefinite(kernel)
        self.kernel, self.repair = kernel.detach(), repair

    @abstractmethod
    def _check_shape(self, kernel: Tensor) -> None:
        """Raise ShapeError, unless the kernel fits images of ``self.image_shape``."""

    @property
    def mean_diagonal(self) -> float:
        """Mean variance of a pixel."""
        return self.kernel.flatten(2)[:, :, 0].diagonal().mean().item()

    def scaled(self, factor: float) -> Self:
        """Return ``factor * Sigma``."""
        check_scale(factor)
        return type(self)(self.kernel * factor, self.image_shape, repair=self.repair, verify=False)

    def tensors(self) -> dict[str, Tensor]:
        """Return the kernel."""
        return {"kernel": self.kernel}

    def settings(self) -> dict[str, Any]:
        """Return nothing: the kernel says it all."""
        return {}

    @classmethod
    def from_parts(
        cls, image_shape: ImageShape, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> Self:
        """Build from a kernel, checking it."""
        return cls(tensors["kernel"], image_shape, **settings)

"""The paper's covariance function: of the rounded distance between two pixels."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from steadygrad.covariance.displacements import pair_counts, rounded_distances, torus_kernel
from steadygrad.covariance.operator import ImageShape, check_image_shape, check_scale
from steadygrad.covariance.semidefinite import Repair, check_symmetry, repaired
from steadygrad.covariance.stationary import StationaryCovariance
from steadygrad.errors import ShapeError

__all__ = ["RadialCovariance"]


class RadialCovariance(StationaryCovariance):
    """Covariances that depend on the rounded distance of two pixels and the pair of channels.

    Rounding makes such a function indefinite, so the operator is the nearest semidefinite
    stationary one, no longer exactly a function of the distance; ``repair`` says how indefinite
    the function was and how far the repair moved it. ``function`` keeps what came in.

    ``from_function`` builds one. The constructor takes a kernel that is semidefinite already,
    with the function it came from.
    Source: Roth et al., arXiv:1805.08736, Eq. (16) and section 3.3.
    """

    kind: ClassVar[str] = "radial"

    def __init__(
        self,
        kernel: Tensor,
        image_shape: ImageShape,
        *,
        function: Tensor,
        repair: Repair | None = None,
        verify: bool = True,
    ) -> None:
        super().__init__(kernel, image_shape, repair=repair, verify=verify)
        self.function = function.detach()

    @classmethod
    def from_function(
        cls, function: Tensor, image_shape: ImageShape, *, repair_steps: int = 30
    ) -> "RadialCovariance":
        """Build the semidefinite covariance nearest to a function of the rounded distance.

        function: (channels, channels, distances), symmetric in the channels, distance 0 first,
            up to the image's diagonal; distances that are missing count as 0.
        repair_steps: how hard to look for the nearest, see ``semidefinite.repaired``.
        Raises: ShapeError; CovarianceError, if the function is not symmetric or holds NaN.
        """
        image_shape = check_image_shape(image_shape)
        channels = image_shape[0]
        if function.ndim != 3 or function.shape[:2] != (channels, channels):
            raise ShapeError(
                f"expected a function of shape ({channels}, {channels}, distances) for images "
                f"{image_shape}, got {tuple(function.shape)}"
            )
        distances = rounded_distances(image_shape, function.device)
        missing = max(0, int(distances.max()) + 1 - function.shape[2])
        padded = torch.nn.functional.pad(function, (0, missing))
        kernel = torus_kernel(padded[:, :, distances], image_shape, bridged=True)
        check_symmetry(kernel)
        pairs = torus_kernel(pair_counts(image_shape, kernel.device), image_shape, bridged=False)
        kernel, repair = repaired(kernel, pairs, repair_steps)
        return cls(kernel, image_shape, function=function, repair=repair, verify=False)

    def scaled(self, factor: float) -> "RadialCovariance":
        """Return ``factor * Sigma``."""
        check_scale(factor)
        return RadialCovariance(
            self.kernel * factor,
            self.image_shape,
            function=self.function * factor,
            repair=self.repair,
            verify=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the kernel and the function it came from."""
        return {"kernel": self.kernel, "function": self.function}

    @classmethod
    def from_parts(
        cls, image_shape: ImageShape, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> "RadialCovariance":
        """Build from a kernel and a function, checking the kernel."""
        return cls(tensors["kernel"], image_shape, function=tensors["function"], **settings)

"""Stationary covariance: a function of the displacement between two pixels and their channels."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.circulant import convolve, inverse_window, mix
from steadygrad.covariance.displacements import (
    check_displacements,
    pair_counts,
    table_of,
    torus_kernel,
)
from steadygrad.covariance.kernel import KernelCovariance
from steadygrad.covariance.operator import ImageShape, check_image_shape
from steadygrad.covariance.semidefinite import (
    check_symmetry,
    hermitian_root,
    matrices_by_frequency,
    repaired,
)
from steadygrad.errors import ShapeError

__all__ = ["StationaryCovariance"]


class StationaryCovariance(KernelCovariance):
    """Covariances that depend on the signed displacement (dy, dx) and the pair of channels alone.

    ``Sigma[(a, p), (b, q)] = K[a, b](p - q)``: exact on the finite image (nothing wraps around)
    and applied with FFTs in O(d log d) time and O(d) memory for d pixels. The kernel's spectrum on
    its torus is semidefinite, hence so is its restriction to the image; samples come from the root
    of the same spectrum and have this covariance exactly.

    kernel: real, (channels, channels, rows, columns) over a torus of at least ``2 H - 1`` by
        ``2 W - 1``, displacements in FFT order. ``from_displacements`` makes one.
    verify: False skips the checks of a kernel that is known to be semidefinite.
    repair: what making the kernel semidefinite changed; None where nothing had to be done.
    Raises: ShapeError; CovarianceError, if the kernel is NaN, asymmetric or indefinite.
    Source: Roth et al., arXiv:1805.08736, Eq. (16), there with the rounded distance in place of
        the displacement (``RadialCovariance``).
    """

    kind: ClassVar[str] = "stationary"

    def _check_shape(self, kernel: Tensor) -> None:
        channels, height, width = self.image_shape
        fits = kernel.ndim == 4 and kernel.shape[:2] == (channels, channels)
        if not (fits and kernel.shape[2] >= 2 * height - 1 and kernel.shape[3] >= 2 * width - 1):
            raise ShapeError(
                f"expected a kernel of shape ({channels}, {channels}, >= {2 * height - 1}, "
                f">= {2 * width - 1}) for images {self.image_shape}, got {tuple(kernel.shape)}"
            )

    @property
    def _torus(self) -> tuple[int, int]:
        return self.kernel.shape[2], self.kernel.shape[3]

    @classmethod
    def from_displacements(
        cls, displacements: Tensor, image_shape: ImageShape, *, repair_steps: int = 30
    ) -> "StationaryCovariance":
        """Build the semidefinite covariance nearest to a table of covariances.

        displacements: real, (channels, channels, 2 H - 1, 2 W - 1); entry
            ``[a, b, H - 1 + dy, W - 1 + dx]`` is the covariance of channel a at a pixel with
            channel b at the pixel (dy, dx) before it.
        repair_steps: how hard to look for the nearest if the table is indefinite, see ``repaired``.
        Raises: ShapeError; CovarianceError, if the table is not symmetric or holds NaN.
        """
        image_shape = check_image_shape(image_shape)
        check_displacements(displacements, image_shape)
        kernel = torus_kernel(displacements, image_shape, bridged=True)
        check_symmetry(kernel)
        pairs = torus_kernel(pair_counts(image_shape, kernel.device), image_shape, bridged=False)
        kernel, repair = repaired(kernel, pairs, repair_steps)
        return cls(kernel, image_shape, repair=repair, verify=False)

    @property
    def displacements(self) -> Tensor:
        """The table that ``from_displacements`` takes, after repair."""
        _, height, width = self.image_shape
        return table_of(self.kernel, height, width)

    def _apply(self, images: Images) -> Images:
        spectrum = self._working_copy("spectrum", images, self._spectrum)
        return convolve(images, spectrum, self._torus)

    def _spectrum(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        spectrum: Tensor = torch.fft.rfft2(self.kernel.to(device, dtype))
        return spectrum

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        channels, height, width = self.image_shape
        noise = white_noise(count, channels, *self._torus)
        root = self._working_copy("root", noise, self._root)
        spectra = torch.stack(mix(root, torch.fft.rfft2(noise)), dim=1)
        return inverse_window(spectra, self._torus[1], (height, width))

    def _root(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        # In float64: a root halves the digits of the small eigenvalues.
        root = hermitian_root(matrices_by_frequency(self.kernel.double()))
        return root.movedim((-2, -1), (0, 1)).to(device, dtype.to_complex()).contiguous()

"""Covariance of pairs of rows: a diagonal and a few off-diagonal blocks."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.displacements import fast_length
from steadygrad.covariance.operator import ImageShape, check_image_shape
from steadygrad.covariance.semidefinite import (
    check_symmetry,
    hermitian_root,
    matrices_by_frequency,
    repaired,
)
from steadygrad.covariance.stationary import KernelCovariance
from steadygrad.errors import ShapeError

__all__ = ["BlockCovariance"]


class BlockCovariance(KernelCovariance):
    """Any covariance within a pair of rows, but the same one for all rows equally far apart.

    ``Sigma[(a, y + k, x), (b, y, u)] = B_k[(a, x), (b, u)]``: between the dense and the stationary
    operator, it keeps what depends on the column. With m = channels * width it costs O(H m^2)
    memory and, an image, O(H m^2) time: at 3x32x32 a fifteenth of the dense one.

    kernel: real, (m, m, rows) over a circle of at least ``2 H - 1`` rows, displacements k in FFT
        order. ``from_blocks`` makes one.
    verify: False skips the checks of a kernel that is known to be semidefinite.
    repair: what making the kernel semidefinite changed; None where nothing had to be done.
    Raises: ShapeError; CovarianceError, if the kernel is NaN, asymmetric or indefinite.
    Source: Roth et al., arXiv:1805.08736, caption of Fig. 5.
    """

    kind: ClassVar[str] = "block"

    def _check_shape(self, kernel: Tensor) -> None:
        channels, height, width = self.image_shape
        size, fewest = channels * width, 2 * height - 1
        fits = kernel.ndim == 3 and kernel.shape[:2] == (size, size)
        if not (fits and kernel.shape[2] >= fewest):
            raise ShapeError(
                f"expected a kernel of shape ({size}, {size}, >= {fewest}) for images "
                f"{self.image_shape}, got {tuple(kernel.shape)}"
            )

    @property
    def _circle(self) -> int:
        return self.kernel.shape[2]

    @classmethod
    def from_blocks(
        cls, blocks: Tensor, image_shape: ImageShape, *, repair_steps: int = 10
    ) -> "BlockCovariance":
        """Build a covariance near a few blocks, see ``semidefinite.repaired``.

        blocks: (reach + 1, m, m) with m = channels * width, rows (channel, column): ``blocks[k]``
            is the covariance of a row with the row ``k`` above it. Blocks that are missing count
            as 0, which makes the matrix indefinite where the last one is not small.
        repair_steps: how hard to look for the nearest, see ``semidefinite.repaired``; a step costs
            about H eigenvalue decompositions of m x m matrices.
        Raises: ShapeError; CovarianceError, if ``blocks[0]`` is not symmetric or one holds NaN.
        """
        channels, height, width = image_shape = check_image_shape(image_shape)
        size = channels * width
        if blocks.ndim != 3 or blocks.shape[1:] != (size, size) or not 1 <= len(blocks) <= height:
            raise ShapeError(
                f"expected 1 to {height} blocks of shape ({size}, {size}) for images "
                f"{image_shape}, got shape {tuple(blocks.shape)}"
            )
        circle = fast_length(2 * height - 1)
        kernel = blocks.new_zeros(size, size, circle)
        kernel[:, :, : len(blocks)] = blocks.movedim(0, -1)
        for k in range(1, len(blocks)):
            kernel[:, :, -k] = blocks[k].T
        last, gap = kernel[:, :, height - 1], circle - (2 * height - 1)
        for step in range(1, gap + 1):  # free rows, filled without a jump, as in torus_kernel
            weight = step / (gap + 1)
            kernel[:, :, height - 1 + step] = (1 - weight) * last + weight * last.T
        check_symmetry(kernel)
        row = torch.arange(circle, device=blocks.device)
        pairs = (height - torch.minimum(row, circle - row)).clamp(min=0)
        kernel, repair = repaired(kernel, pairs, repair_steps)
        return cls(kernel, image_shape, repair=repair, verify=False)

    def _apply(self, images: Images) -> Images:
        spectrum = self._working_copy("spectrum", images, self._spectrum)
        return self._multiply(images, spectrum)

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        channels, _, width = self.image_shape
        noise = white_noise(count, channels, self._circle, width)
        return self._multiply(noise, self._working_copy("root", noise, self._root))

    def _multiply(self, images: Images, matrices: Tensor) -> Images:
        """Multiply each vertical frequency by its matrix, and cut to the image's height."""
        count, channels, _, width = images.shape
        # (batch, channels, rows, columns) -> (frequencies, m, batch)
        spectra = torch.fft.rfft(images, n=self._circle, dim=2).permute(2, 1, 3, 0)
        mixed = matrices @ spectra.reshape(len(matrices), channels * width, count)
        mixed = mixed.view(len(matrices), channels, width, count).permute(3, 1, 0, 2)
        rows: Tensor = torch.fft.irfft(mixed, n=self._circle, dim=2)
        return rows[:, :, : self.image_shape[1]]

    def _spectrum(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        return matrices_by_frequency(self.kernel.to(device, dtype)).contiguous()

    def _root(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        root: Tensor = hermitian_root(matrices_by_frequency(self.kernel.double()))
        return root.to(device, dtype.to_complex())

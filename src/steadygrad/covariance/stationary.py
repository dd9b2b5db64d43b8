"""Stationary covariance: a function of the displacement of two pixels, or of their distance."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.displacements import (
    check_displacements,
    convolve,
    inverse_window,
    mix,
    pair_counts,
    rounded_distances,
    table_of,
    torus_kernel,
)
from steadygrad.covariance.operator import (
    FixedCovariance,
    ImageShape,
    check_image_shape,
    check_scale,
)
from steadygrad.covariance.semidefinite import (
    Repair,
    check_numbers,
    check_semidefinite,
    check_symmetry,
    hermitian_root,
    matrices_by_frequency,
    repaired,
)
from steadygrad.errors import ShapeError

__all__ = ["KernelCovariance", "RadialCovariance", "StationaryCovariance"]


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
        """Build a covariance near a table of covariances, see ``semidefinite.repaired``.

        displacements: real, (channels, channels, 2 H - 1, 2 W - 1); entry
            ``[a, b, H - 1 + dy, W - 1 + dx]`` is the covariance of channel a at a pixel with
            channel b at the pixel (dy, dx) before it.
        repair_steps: how hard to look for the nearest if the table is indefinite.
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


class RadialCovariance(StationaryCovariance):
    """Covariances that depend on the rounded distance of two pixels and the pair of channels.

    Rounding makes such a function indefinite, so the operator is a semidefinite stationary one
    near it (``semidefinite.repaired``), no longer exactly a function of the distance; ``repair``
    says how indefinite the function was and how far the repair moved it. ``function`` keeps what
    came in.

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
        _check_function_shape(function, self.image_shape)
        if verify:
            check_numbers(function)
        self.function = function.detach()

    @classmethod
    def from_function(
        cls, function: Tensor, image_shape: ImageShape, *, repair_steps: int = 30
    ) -> "RadialCovariance":
        """Build a covariance near a function of the rounded distance.

        function: (channels, channels, distances), symmetric in the channels, distance 0 first,
            up to the image's diagonal; distances that are missing count as 0.
        repair_steps: how hard to look for the nearest, see ``semidefinite.repaired``.
        Raises: ShapeError; CovarianceError, if the function is not symmetric or holds NaN.
        """
        image_shape = check_image_shape(image_shape)
        _check_function_shape(function, image_shape)
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
        """Build from a kernel and a function, checking both."""
        return cls(tensors["kernel"], image_shape, function=tensors["function"], **settings)


def _check_function_shape(function: Tensor, image_shape: ImageShape) -> None:
    channels = image_shape[0]
    if function.ndim != 3 or function.shape[:2] != (channels, channels):
        raise ShapeError(
            f"expected a function of shape ({channels}, {channels}, distances) for images "
            f"{image_shape}, got {tuple(function.shape)}"
        )

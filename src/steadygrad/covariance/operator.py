"""What a covariance is: an operator on images that is applied, sampled, measured and written."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from steadygrad import draws
from steadygrad._typing import Images
from steadygrad.errors import CovarianceError, HyperparameterError, ShapeError

__all__ = ["DENSE_LIMIT", "Covariance", "FixedCovariance", "ImageShape"]

ImageShape: TypeAlias = tuple[int, int, int]
"""Channels, height, width."""

DENSE_LIMIT = 8192
"""Most pixels (channels counted) of which a dense matrix is made; 512 MB in float64."""


class Covariance(ABC):
    """A symmetric positive semidefinite operator ``Sigma`` on images of one shape.

    Entries are in squared pixel units; most penalties and attacks want a unit mean diagonal,
    which ``normalized()`` gives. The result of every method follows the dtype and device of what
    it is given, wherever the covariance was made.
    """

    @property
    @abstractmethod
    def image_shape(self) -> ImageShape:
        """Channels, height, width."""

    @property
    @abstractmethod
    def mean_diagonal(self) -> float:
        """Mean variance of a pixel, ``trace(Sigma) / d``."""

    def apply(self, images: Images) -> Images:
        """Return ``Sigma x`` for each image ``x``; linear, differentiable, not in place.

        images: floating, (batch, channels, height, width); the result has their shape, dtype and
        device. Half precision is computed in float32.
        Raises: ShapeError, if the images are not of ``image_shape``.
        """
        self.check_fit(images)
        wide = images.float() if images.itemsize < 4 else images
        # Under autocast the products would be rounded to half precision.
        with torch.autocast(images.device.type, enabled=False):
            return self._apply(wide).to(images.dtype)

    def check_fit(self, images: Images) -> None:
        """Refuse anything but floating point images of ``image_shape``.

        Raises: ShapeError.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            sizes = ", ".join(map(str, self.image_shape))
            raise ShapeError(
                f"expected images of shape (batch, {sizes}) for this covariance, "
                f"got {tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ShapeError(f"expected floating point images, got {images.dtype}")

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> Images:
        """Draw from the Gaussian of mean 0 and this covariance: (count, channels, height, width).

        generator: numbers are drawn where it lives, so a CPU generator gives the same sample on
            every device; None takes torch's global one.
        device: of the result and of the computation; None takes the generator's.
        Raises: HyperparameterError, if count is below 1.
        """
        if count < 1:
            raise HyperparameterError(f"expected a sample of at least 1 image, got {count}")
        source = torch.device("cpu") if generator is None else generator.device
        target = source if device is None else torch.device(device)

        wide = torch.float32 if dtype.itemsize < 4 else dtype

        def white_noise(*shape: int) -> Tensor:
            return draws.normal(shape, generator, dtype=wide, device=source).to(target)

        with torch.no_grad():
            return self._sample(count, white_noise).to(dtype)

    def dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the matrix, (d, d) with d = channels * height * width, pixels in row-major order.

        Raises: CovarianceError, if d is above ``DENSE_LIMIT``.
        """
        pixels = check_dense_size(self.image_shape)
        matrix = torch.empty(pixels, pixels, dtype=dtype)
        with torch.no_grad():
            for start in range(0, pixels, 256):  # a few columns at a time: the rest is the result
                rows = matrix[start : start + 256]
                basis = torch.zeros_like(rows)
                basis.diagonal(start).fill_(1.0)
                rows.copy_(self._apply(basis.view(-1, *self.image_shape)).flatten(start_dim=1))
        return matrix

    def normalized(self) -> "Covariance":
        """Return this covariance scaled to a unit mean diagonal.

        Raises: CovarianceError, if the mean diagonal is 0.
        """
        mean_diagonal = self.mean_diagonal
        if not mean_diagonal > 0:
            raise CovarianceError(f"expected a positive mean diagonal, got {mean_diagonal}")
        return self.scaled(1 / mean_diagonal)

    @abstractmethod
    def scaled(self, factor: float) -> "Covariance":
        """Return ``factor * Sigma``, factor >= 0."""

    @abstractmethod
    def _apply(self, images: Images) -> Images: ...

    @abstractmethod
    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images: ...


class FixedCovariance(Covariance):
    """A covariance that never changes, and that a file can hold.

    Keeps one copy of its tensors for each dtype and device that it is asked to work in.

    image_shape: (channels, height, width); ShapeError if it is not three positive integers.
    """

    kind: ClassVar[str]
    """Name in files."""

    def __init__(self, image_shape: ImageShape) -> None:
        self._image_shape = check_image_shape(image_shape)
        self._working_copies: dict[Hashable, Tensor] = {}

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height, width."""
        return self._image_shape

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return what ``from_parts`` needs besides the settings."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what ``from_parts`` needs besides the tensors, as values that JSON can hold."""

    @classmethod
    @abstractmethod
    def from_parts(
        cls, image_shape: ImageShape, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> "FixedCovariance":
        """Build the operator again from ``tensors()`` and ``settings()``, checking both."""

    def __repr__(self) -> str:
        described = "".join(f", {name}={value!r}" for name, value in self.settings().items())
        # The tensors' digest: descriptions of stored results tell two covariances apart by it.
        if tensors := self.tensors():
            digest = hashlib.sha256()
            for tensor in tensors.values():
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
            described += f", digest={digest.hexdigest()[:8]}"
        return f"{type(self).__name__}(image_shape={self.image_shape}{described})"

    def _working_copy(
        self, name: str, like: Tensor, build: Callable[[torch.dtype, torch.device], Tensor]
    ) -> Tensor:
        """Return ``build(dtype, device)`` for those of ``like``, built once."""
        key = (name, like.dtype, like.device)
        if key not in self._working_copies:
            # Tensors made in inference mode could not take part in a later backward pass.
            with torch.inference_mode(False), torch.no_grad():
                self._working_copies[key] = build(like.dtype, like.device)
        return self._working_copies[key]


def check_image_shape(image_shape: ImageShape) -> ImageShape:
    """Return the shape as a tuple of three positive integers.

    Raises: ShapeError.
    """
    shape = tuple(image_shape)
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ShapeError(f"expected an image shape (channels, height, width), got {image_shape}")
    return shape


def check_dense_size(image_shape: ImageShape) -> int:
    """Return the number of pixels, channels counted, if a dense matrix over them fits in memory.

    Raises: CovarianceError.
    """
    pixels = math.prod(image_shape)
    if pixels > DENSE_LIMIT:
        raise CovarianceError(
            f"expected at most {DENSE_LIMIT} pixels for a dense covariance, got {pixels} "
            f"({pixels**2 * 8 / 1e9:.0f} GB in float64); use a stationary one"
        )
    return pixels


def check_scale(factor: float) -> None:
    """Refuse a factor that would not leave a covariance.

    Raises: HyperparameterError.
    """
    if not (factor >= 0 and math.isfinite(factor)):
        raise HyperparameterError(f"expected a finite factor >= 0, got {factor}")


def check_perturbations(perturbations: Images, *, values: bool = True) -> None:
    """Refuse anything but a non-empty floating batch of finite images that are not all zero.

    Args:
        perturbations: what was given as such.
        values: False looks at dtype and shape alone.

    Raises:
        ShapeError, CovarianceError: they are none.
    """
    if not perturbations.is_floating_point() or perturbations.ndim != 4 or not len(perturbations):
        raise ShapeError(
            "expected floating point perturbations (batch, channels, height, width), "
            f"got {perturbations.dtype} of shape {tuple(perturbations.shape)}"
        )
    if not values:
        return
    largest = perturbations.detach().abs().amax().item()
    if not math.isfinite(largest):
        raise CovarianceError("expected finite perturbations, got NaN or infinity")
    if largest == 0:
        raise CovarianceError("expected perturbations that are not all zero, got only zeros")

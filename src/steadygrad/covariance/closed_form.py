"""Covariances in closed form: white noise, and noise whose correlations decay with distance."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.dense import cholesky_factor
from steadygrad.covariance.displacements import convolve, fast_length, inverse_window
from steadygrad.covariance.operator import FixedCovariance, ImageShape, check_scale
from steadygrad.errors import HyperparameterError

__all__ = ["ExponentialCovariance", "IdentityCovariance"]


class IdentityCovariance(FixedCovariance):
    """``variance`` times the identity: the structured penalty becomes the squared gradient norm.

    variance: of every pixel, at least 0; HyperparameterError otherwise.
    """

    kind: ClassVar[str] = "identity"

    def __init__(self, image_shape: ImageShape, variance: float = 1.0) -> None:
        super().__init__(image_shape)
        check_scale(variance)
        self.variance = variance

    @property
    def mean_diagonal(self) -> float:
        """The variance."""
        return self.variance

    def scaled(self, factor: float) -> "IdentityCovariance":
        """Return ``factor * Sigma``."""
        check_scale(factor)
        return IdentityCovariance(self.image_shape, self.variance * factor)

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: the variance says it all."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Return the variance."""
        return {"variance": self.variance}

    @classmethod
    def from_parts(
        cls,
        image_shape: ImageShape,
        tensors: dict[str, Tensor],  # noqa: ARG003  (every kind takes them)
        settings: dict[str, Any],
    ) -> "IdentityCovariance":
        """Build from a variance, checking it."""
        return cls(image_shape, **settings)

    def _apply(self, images: Images) -> Images:
        return images * self.variance

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        return torch.mul(white_noise(count, *self.image_shape), math.sqrt(self.variance))


CHOLESKY_LIMIT = 4096
"""Most pixels of a channel for which sampling factors their matrix (134 MB in float64)."""


class ExponentialCovariance(FixedCovariance):
    """``exp(-r / decay_length)`` within a channel, ``inter_channel`` times that between two.

    ``r`` is the Euclidean distance of two pixels, not rounded: that keeps the function positive
    semidefinite on every image size, so nothing has to be repaired. It factors into a matrix over
    the channels and a function over the pixels; only the latter is ever transformed (FFT) or, for
    sampling images of up to 4096 pixels a channel, factored (Cholesky).

    decay_length: in pixels, positive; the distance at which the covariance has fallen to 1/e.
    inter_channel: correlation of two channels of one pixel, in [-1 / (channels - 1), 1].
    variance: of every pixel, at least 0.
    Raises: HyperparameterError, if one of them is outside its range.
    Source: Roth et al., arXiv:1805.08736, section 4.3 (0.5 between channels).

    Not the identity as the decay length goes to 0: two channels of one pixel stay correlated.
    Samples of images above 4096 pixels a channel are exact up to a decay length of the image's
    size, and have correlations within 0.025 of the function's beyond it.
    """

    kind: ClassVar[str] = "exponential"

    def __init__(
        self,
        image_shape: ImageShape,
        decay_length: float,
        *,
        inter_channel: float = 0.5,
        variance: float = 1.0,
    ) -> None:
        super().__init__(image_shape)
        if not (decay_length > 0 and math.isfinite(decay_length)):
            raise HyperparameterError(f"expected decay_length > 0 pixels, got {decay_length}")
        channels = self.image_shape[0]
        lowest = -1 / (channels - 1) if channels > 1 else -1.0
        if not lowest <= inter_channel <= 1:
            raise HyperparameterError(
                f"expected inter_channel in [{lowest:g}, 1] for {channels} channels, "
                f"got {inter_channel}"
            )
        check_scale(variance)
        self.decay_length, self.inter_channel = decay_length, inter_channel
        self.variance = variance

    @property
    def mean_diagonal(self) -> float:
        """The variance, the same for every pixel."""
        return self.variance

    def scaled(self, factor: float) -> "ExponentialCovariance":
        """Return ``factor * Sigma``."""
        check_scale(factor)
        return ExponentialCovariance(
            self.image_shape,
            self.decay_length,
            inter_channel=self.inter_channel,
            variance=self.variance * factor,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: the settings say it all."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Return decay length, correlation of channels and variance."""
        return {
            "decay_length": self.decay_length,
            "inter_channel": self.inter_channel,
            "variance": self.variance,
        }

    @classmethod
    def from_parts(
        cls,
        image_shape: ImageShape,
        tensors: dict[str, Tensor],  # noqa: ARG003  (every kind takes them)
        settings: dict[str, Any],
    ) -> "ExponentialCovariance":
        """Build from the settings, checking them."""
        return cls(image_shape, **settings)

    def _apply(self, images: Images) -> Images:
        torus = self._torus()
        spectrum = self._working_copy("spectrum", images, self._spectrum)
        channels = self._working_copy("channels", images, self._channel_matrix)
        return torch.einsum("ab,nbyx->nayx", channels, convolve(images, spectrum, torus))

    def _sample(self, count: int, white_noise: Callable[..., Tensor]) -> Images:
        channels, height, width = self.image_shape
        if height * width <= CHOLESKY_LIMIT:
            noise = white_noise(count, channels, height * width)
            factor = self._working_copy("pixel factor", noise, self._pixel_factor)
            colored = (noise @ factor.T).view(count, channels, height, width)
        else:
            torus = self._sampling_torus
            noise = white_noise(count, channels, *torus)
            root = self._working_copy("pixel root", noise, self._pixel_root)
            spectra = root * torch.fft.rfft2(noise)
            colored = inverse_window(spectra, torus[1], (height, width))
        mixing = self._working_copy("channel factor", noise, self._channel_factor)
        return torch.einsum("ab,nbyx->nayx", mixing, colored)

    def _torus(self) -> tuple[int, int]:
        _, height, width = self.image_shape
        return fast_length(2 * height - 1), fast_length(2 * width - 1)

    @cached_property
    def _sampling_torus(self) -> tuple[int, int]:
        # On a torus of some 8 decay lengths the function is semidefinite as it stands.
        smallest = rows, columns = self._torus()
        while self._pixel_spectrum((rows, columns)).min() < 0 and rows < 4 * smallest[0]:
            rows, columns = fast_length(rows * 5 // 4), fast_length(columns * 5 // 4)
        return rows, columns

    def _pixel_spectrum(self, torus: tuple[int, int]) -> Tensor:
        """Return the real half spectrum of the function of the distance on a torus, float64."""
        rows, columns = (torch.arange(size, dtype=torch.float64) for size in torus)
        distance = torch.hypot(
            torch.minimum(rows, torus[0] - rows)[:, None],
            torch.minimum(columns, torus[1] - columns),
        )
        spectrum: Tensor = torch.fft.rfft2((-distance / self.decay_length).exp())
        return spectrum.real

    def _spectrum(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._pixel_spectrum(self._torus()).to(device, dtype)

    def _pixel_root(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        return self._pixel_spectrum(self._sampling_torus).clamp(min=0).sqrt().to(device, dtype)

    def _pixel_factor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        _, height, width = self.image_shape
        pixels = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
        matrix = (-torch.cdist(pixels, pixels) / self.decay_length).exp()
        return cholesky_factor(matrix).to(device, dtype)

    def _channel_matrix(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        channels = self.image_shape[0]
        matrix = torch.full((channels, channels), self.inter_channel, dtype=dtype, device=device)
        return self.variance * matrix.fill_diagonal_(1.0)

    def _channel_factor(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        matrix = self._channel_matrix(torch.float64, torch.device("cpu"))
        return cholesky_factor(matrix).to(device, dtype)

"""White noise: every pixel by itself."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.operator import FixedCovariance, ImageShape, check_scale

__all__ = ["IdentityCovariance"]


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

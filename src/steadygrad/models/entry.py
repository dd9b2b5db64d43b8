"""What the registry knows about an architecture, and the one way to build it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

from steadygrad.errors import ModelError

__all__ = ["Architecture", "ImageShape", "ModelEntry", "SecondOrder"]

ImageShape: TypeAlias = tuple[int, int, int]
"""(channels, height, width)."""

SecondOrder: TypeAlias = Literal["exact", "frozen_phase"]
"""How the complex layers differentiate their own derivative; real networks have one way only."""

Architecture: TypeAlias = Callable[[ImageShape, int, SecondOrder], nn.Module]
"""Builds the network for an image shape, a number of classes and a second-order rule."""


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One named architecture.

    input_shape, num_classes: the paper's; ``build`` accepts others.
    smallest: least height and width, in pixels, that leave something after the pooling.
    """

    name: str
    description: str
    source: str
    input_shape: ImageShape
    num_classes: int
    architecture: Architecture
    is_complex: bool = False
    smallest: int = 4

    def build(
        self,
        *,
        input_shape: ImageShape | None = None,
        num_classes: int | None = None,
        second_order: SecondOrder = "exact",
    ) -> nn.Module:
        """Return the network with fresh weights drawn from torch's global generator.

        Raises: ModelError, if the images are too small or there are fewer than two classes.
        """
        input_shape = self.input_shape if input_shape is None else input_shape
        num_classes = self.num_classes if num_classes is None else num_classes
        if len(input_shape) != 3 or min(input_shape) < 1 or min(input_shape[1:]) < self.smallest:
            raise ModelError(
                f"expected an input shape (channels, height, width) of at least "
                f"{self.smallest}x{self.smallest} pixels for {self.name}, got {tuple(input_shape)}"
            )
        if num_classes < 2:
            raise ModelError(f"expected at least 2 classes, got {num_classes}")
        if second_order not in ("exact", "frozen_phase"):
            raise ModelError(
                f"expected second_order 'exact' or 'frozen_phase', got {second_order!r}"
            )
        return self.architecture(input_shape, num_classes, second_order)

"""The names that signatures share: what counts as a model, images and labels."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

__all__ = ["Classifier", "Images", "Labels", "Logits"]

Images: TypeAlias = Tensor
"""Floating point, shape (batch, channels, height, width), pixels in [0, 1]."""

Labels: TypeAlias = Tensor
"""int64, shape (batch,), class indices in [0, classes)."""

Logits: TypeAlias = Tensor
"""Floating point, shape (batch, classes), before the softmax."""

Classifier: TypeAlias = Callable[[Tensor], Tensor]
"""Images to logits. Normalisation and phase encoding happen inside, so eps is always in pixels."""

"""What torch makes where nobody says a dtype or a device: lent to libraries, kept from models."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

__all__ = ["DefaultTensors"]


@dataclass(frozen=True)
class DefaultTensors:
    """A default dtype and device, such as the user's or those a library expects.

    Args:
        dtype: floating point.
        device: where tensors are made.
    """

    dtype: torch.dtype
    device: torch.device

    @classmethod
    def now(cls) -> "DefaultTensors":
        """Return what holds now."""
        return cls(torch.get_default_dtype(), torch.get_default_device())

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let these hold meanwhile; afterwards what held before."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(self.device):
                yield
        finally:
            torch.set_default_dtype(before)

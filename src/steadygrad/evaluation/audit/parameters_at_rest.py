"""Leaving no trace on a model: parameters that collect no gradients for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from steadygrad._typing import Classifier

__all__ = ["parameters_at_rest"]


@contextmanager
def parameters_at_rest(model: Classifier) -> Iterator[None]:
    """Let no parameter require a gradient; afterwards restore each one's own setting.

    Attacks of other libraries call ``backward()``, which would fill every parameter's ``.grad``.
    A plain callable has no parameters and passes through.
    """
    resting = []
    if isinstance(model, nn.Module):
        resting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in resting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in resting:
            parameter.requires_grad_(True)

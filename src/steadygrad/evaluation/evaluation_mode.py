"""A model in evaluation mode for a while, then exactly as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from steadygrad._typing import Classifier

__all__ = ["evaluation_mode"]


@contextmanager
def evaluation_mode(model: Classifier) -> Iterator[None]:
    """Set ``model.eval()`` inside the block and give each submodule its own mode back after it.

    A model may mix modes (a frozen batch norm in a network that trains): restoring by
    ``model.train()`` would lose that. Plain callables pass through untouched.
    """
    modes = (
        [(module, module.training) for module in model.modules()]
        if isinstance(model, nn.Module)
        else []
    )
    try:
        if isinstance(model, nn.Module):
            model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training

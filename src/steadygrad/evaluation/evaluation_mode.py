"""A model in evaluation mode for a while, then exactly as it was."""

from contextlib import AbstractContextManager, nullcontext

from torch import nn

from steadygrad._typing import Classifier
from steadygrad.training.evaluation_mode import evaluation_mode as module_evaluation_mode

__all__ = ["evaluation_mode"]


def evaluation_mode(model: Classifier) -> AbstractContextManager[None]:
    """Set a module to eval inside the block and give each submodule its own mode back after it.

    A model may mix modes (a frozen batch norm in a network that trains): restoring by
    ``model.train()`` would lose that. A plain callable has no mode and passes through.
    """
    return module_evaluation_mode(model) if isinstance(model, nn.Module) else nullcontext()

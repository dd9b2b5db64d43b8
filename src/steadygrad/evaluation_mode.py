"""Eval mode for a while: every module gets back exactly the mode it had."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from steadygrad._typing import Classifier
from steadygrad.held_statistics import modules_of

__all__ = ["evaluation_mode", "to_evaluation_mode"]


@contextmanager
def evaluation_mode(model: Classifier) -> Iterator[None]:
    """Put ``model`` in eval mode; afterwards restore each module's own mode, also after an error.

    ``model.train(was_training)`` would not do: it would wake modules that someone had frozen. Of a
    function, a method or another object the modules that it runs are switched (``modules_of``).
    """
    modules = modules_of(model)
    modes = [(module, module.training) for module in modules]
    inner = {id(child) for module in modules for child in module.children()}
    for module in modules:
        if id(module) not in inner:
            to_evaluation_mode(module)
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def to_evaluation_mode(model: nn.Module) -> None:
    """Put a module in eval mode; a program of ``torch.export`` in it has one mode, and keeps it."""
    try:
        model.eval()
    except NotImplementedError:
        for module in model.modules():
            module.training = False

"""Buffers of a model that a call must leave as they were, such as batch norm's statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from steadygrad._typing import Classifier

__all__ = ["Buffers", "buffer_copies", "held_statistics", "modules_of"]


def modules_of(model: Classifier) -> list[nn.Module]:
    """Return the modules that a model runs, also those that a function or a method wraps."""
    if isinstance(model, nn.Module):
        return list(model.modules())
    found: dict[int, nn.Module] = {}
    for value in _held_by(model):
        if isinstance(value, nn.Module):
            found |= {id(module): module for module in value.modules()}
    return list(found.values())


def _held_by(model: Any) -> Iterator[Any]:
    """Yield what a callable holds: its object, its arguments, its closure, the globals it names."""
    if isinstance(model, partial):
        yield from (model.func, *model.args, *model.keywords.values())
    yield getattr(model, "__self__", None)
    yield from getattr(model, "__dict__", {}).values()
    for cell in getattr(model, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    code = getattr(model, "__code__", None)
    if code is not None:
        named = getattr(model, "__globals__", {})
        yield from (named.get(name) for name in code.co_names)


Buffers: TypeAlias = list[tuple[nn.Module, str, Tensor]]


def buffer_copies(model: Classifier) -> Buffers:
    """Return copies of what layers in training mode keep in their buffers."""
    return [(module, name, buffer.clone()) for module, name, buffer in _changing_buffers(model)]


@contextmanager
def held_statistics(
    model: Classifier, start: Buffers | None = None, *, in_eval: bool = False
) -> Iterator[None]:
    """Let passes read and change copies of all buffers, whatever layers keep in them.

    The buffers themselves stay as they are. They are not written back: a batch norm's backward
    pass may still need them, and would find them changed.

    Args:
        start: what the passes find there; None is what there is now.
        in_eval: those of modules in eval mode too, some of which count their calls.
    """
    originals = _changing_buffers(model, in_eval=in_eval)
    for module, name, buffer in originals if start is None else start:
        module._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for module, name, buffer in originals:
            module._buffers[name] = buffer


def _changing_buffers(model: Classifier, *, in_eval: bool = False) -> Buffers:
    return [
        (module, name, buffer)
        for module in modules_of(model)
        if module.training or in_eval
        for name, buffer in module._buffers.items()
        if buffer is not None and not isinstance(buffer, UninitializedBuffer)
    ]

"""Buffers of a model that a call must leave as they were, such as batch norm's statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from steadygrad._typing import Classifier

__all__ = ["Buffers", "buffer_copies", "held_statistics", "modules_of"]

DEPTH = 5
"""How many holders deep a module is looked for: an object in a list of an object of a method."""
MANY = 100
"""A longer container holds data, and no networks."""
HOLD_NOTHING = (type(None), bool, int, float, str, bytes, Tensor, type, ModuleType)
"""Kinds of values in which no network is looked for."""


def modules_of(model: Classifier) -> list[nn.Module]:
    """Return the modules that a model runs, also those that functions, methods and objects hold."""
    if isinstance(model, nn.Module):
        return list(model.modules())
    found: dict[int, nn.Module] = {}
    seen, level = {id(model)}, [model]
    for _ in range(DEPTH):
        held = [value for holder in level for value in _held_by(holder)]
        level = []
        for value in held:
            if id(value) in seen or isinstance(value, HOLD_NOTHING):
                continue
            seen.add(id(value))
            if isinstance(value, nn.Module):
                found |= {id(module): module for module in value.modules()}
            else:
                level.append(value)
    return list(found.values())


def _held_by(holder: Any) -> Iterator[Any]:
    """Yield what a container holds, or a callable or an object of its kind.

    That is: the object of a method, arguments, attributes, the closure, the globals that are named.
    """
    if isinstance(holder, dict | list | tuple):
        values = holder.values() if isinstance(holder, dict) else holder
        yield from values if len(holder) <= MANY else ()
        return
    if isinstance(holder, partial):
        yield from (holder.func, *holder.args, *holder.keywords.values())
    yield getattr(holder, "__self__", None)
    yield from getattr(holder, "__dict__", {}).values()
    for cell in getattr(holder, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    code, named = getattr(holder, "__code__", None), getattr(holder, "__globals__", {})
    # Those of torch's own functions are many, and hold no user's network.
    if code is not None and not str(named.get("__name__")).startswith("torch."):
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

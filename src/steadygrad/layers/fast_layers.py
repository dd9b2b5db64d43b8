"""Making anyone's network cheaper to penalise, without changing what it computes, and back."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from steadygrad._typing import Classifier
from steadygrad.held_statistics import modules_of
from steadygrad.layers.average_pooling import AvgPool2x2
from steadygrad.layers.batch_norm import BatchNorm2d
from steadygrad.layers.convolution import Conv2d
from steadygrad.layers.gelu import GELU
from steadygrad.layers.linear import Linear

__all__ = ["fast_layers", "use_fast_layers", "use_torch_layers"]

_FAST: dict[type[nn.Module], type[nn.Module]] = {
    nn.AvgPool2d: AvgPool2x2,
    nn.BatchNorm2d: BatchNorm2d,
    nn.Conv2d: Conv2d,
    nn.GELU: GELU,
    nn.Linear: Linear,
}
_PYTORCHS = {fast: pytorchs for pytorchs, fast in _FAST.items()}


def use_fast_layers(model: nn.Module) -> int:
    """Turn a model's layers into ours where we have them.

    Double backpropagation does so for its own passes; here it is for plain passes and attacks too,
    where images' gradients and dense layers are cheaper. In place: parameters, buffers, hooks
    and the keys of ``state_dict`` stay, so weights load from and into the model as it was. Taken
    are ``nn.Conv2d``, ``nn.Linear``, ``nn.BatchNorm2d``, ``nn.GELU()`` and ``nn.AvgPool2d(2)``,
    neither subclasses nor other settings, nor functions called in ``forward``. Results agree up to
    rounding; how much faster a penalised step is depends on the network (``docs/benchmarks.md``).
    Whatever PyTorch's layers can do (export, compilation, transforms, tracing, checkpointing,
    hooks) these do by running PyTorch's code. Only a tool that compares a layer's type, as
    quantization does, does not know them: call ``use_torch_layers`` first.

    Args:
        model: any network.

    Returns:
        How many layers were turned.
    """
    turned = 0
    for module in model.modules():
        fast = _FAST.get(type(module))
        if fast is not None and _has_our_settings(module):
            module.__class__ = fast
            turned += 1
    return turned


def use_torch_layers(model: nn.Module) -> int:
    """Turn the layers of ``use_fast_layers`` back into PyTorch's, in place, in any network.

    A model without complex layers then needs nothing of this library: it can be saved as a whole,
    quantized, or handed to somebody who has not installed it.

    Args:
        model: any network.

    Returns:
        How many layers were turned.
    """
    turned = 0
    for module in model.modules():
        own = type(module)
        # A parametrization puts a class of its own between a module and its layer.
        layer = own.__bases__[0] if is_parametrized(module) else own
        if layer not in _PYTORCHS:
            continue
        pytorchs = _PYTORCHS[layer]
        module.__class__ = pytorchs if layer is own else _derived(own, pytorchs)
        turned += 1
    return turned


def _derived(parametrized: type[nn.Module], layer: type[nn.Module]) -> type[nn.Module]:
    """Return the class that a parametrization made, derived from another layer."""
    inherited = ("__dict__", "__weakref__")
    body = {name: each for name, each in vars(parametrized).items() if name not in inherited}
    return type(parametrized.__name__, (layer, *parametrized.__bases__[1:]), body)


@contextmanager
def fast_layers(model: Classifier) -> Iterator[None]:
    """Let a model run our layers in place of PyTorch's for a while, see ``use_fast_layers``."""
    plain = [
        (module, type(module))
        for module in modules_of(model)
        if type(module) in _FAST and _has_our_settings(module)
    ]
    for module, kind in plain:
        module.__class__ = _FAST[kind]
    try:
        yield
    finally:
        for module, kind in plain:
            module.__class__ = kind


def _has_our_settings(module: nn.Module) -> bool:
    if isinstance(module, nn.GELU):
        return module.approximate == "none"
    if isinstance(module, nn.AvgPool2d):
        return (
            module.kernel_size in (2, (2, 2))
            and module.stride in (2, (2, 2))
            and module.padding in (0, (0, 0))
            and not module.ceil_mode
            and module.divisor_override is None
        )
    return True

"""Making anyone's network cheaper to penalise, without changing what it computes, and back."""

from torch import nn

from steadygrad.layers.average_pooling import AvgPool2x2
from steadygrad.layers.batch_norm import BatchNorm2d
from steadygrad.layers.convolution import Conv2d
from steadygrad.layers.gelu import GELU
from steadygrad.layers.linear import Linear

__all__ = ["use_fast_layers", "use_torch_layers"]

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

    In place: parameters, buffers, hooks and the keys of ``state_dict`` stay, so weights load from
    and into the model as it was. Taken are ``nn.Conv2d``, ``nn.Linear``, ``nn.BatchNorm2d``,
    ``nn.GELU()`` and ``nn.AvgPool2d(2)``, neither subclasses nor other settings, nor functions
    called in ``forward``. Results agree up to rounding; a training step with a penalty on the input
    gradient takes less time on the CPU (``docs/benchmarks.md``). Whatever PyTorch's layers can do
    (export, compilation, transforms, tracing, checkpointing, hooks) these do by running PyTorch's
    code. Only a tool that compares a layer's type, as quantization does, does not know them: call
    ``use_torch_layers`` first.

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
        pytorchs = _PYTORCHS.get(type(module))
        if pytorchs is not None:
            module.__class__ = pytorchs
            turned += 1
    return turned


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

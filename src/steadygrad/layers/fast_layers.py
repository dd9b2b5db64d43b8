"""Making anyone's network cheaper to penalise, without changing what it computes."""

from torch import nn

from steadygrad.layers.average_pooling import AvgPool2x2
from steadygrad.layers.batch_norm import BatchNorm2d
from steadygrad.layers.convolution import Conv2d
from steadygrad.layers.gelu import GELU
from steadygrad.layers.linear import Linear

__all__ = ["use_fast_layers"]


def use_fast_layers(model: nn.Module) -> int:
    """Turn a model's layers into ours where we have them; return how many.

    In place: parameters, buffers, hooks and the keys of ``state_dict`` stay. Taken are
    ``nn.Conv2d``, ``nn.Linear``, ``nn.BatchNorm2d``, ``nn.GELU()`` and ``nn.AvgPool2d(2)``, neither
    subclasses nor other settings, nor functions called in ``forward``. Results agree up to
    rounding; a training step with a penalty on the input gradient takes less time on the CPU
    (``docs/benchmarks.md``).
    """
    turned = 0
    for module in model.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = Conv2d
        elif type(module) is nn.Linear:
            module.__class__ = Linear
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNorm2d
        elif type(module) is nn.GELU and module.approximate == "none":
            module.__class__ = GELU
        elif type(module) is nn.AvgPool2d and _averages_2x2(module):
            module.__class__ = AvgPool2x2
        else:
            continue
        turned += 1
    return turned


def _averages_2x2(pool: nn.AvgPool2d) -> bool:
    return (
        pool.kernel_size in (2, (2, 2))
        and pool.stride in (2, (2, 2))
        and pool.padding in (0, (0, 0))
        and not pool.ceil_mode
        and pool.divisor_override is None
    )

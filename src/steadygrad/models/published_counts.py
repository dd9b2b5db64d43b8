"""Table 1 of Yeats et al. (2021) as it is printed: our true counts, plus its three slips.

The real rows hold. In the complex rows (1) every complex layer has one parameter per output too
many, as if it had a third bias; (2) the MACs of Fashion-MNIST's dense layers are left out; and
(3) CIFAR1's complex dense layers count one real MAC per complex MAC instead of four.
"""

from torch import nn

from steadygrad.errors import UnknownNameError
from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.models.counting import layer_macs, parameter_count
from steadygrad.models.registry import build_model, model_entry

__all__ = ["published_counts"]

_TABLE1 = ("mnist", "svhn", "fashion-mnist", "cifar1", "cifar2")
_DENSE_MACS_LEFT_OUT = "yeats2021-fashion-mnist-complex"
_DENSE_MACS_COUNTED_ONCE = "yeats2021-cifar1-complex"


def published_counts(name: str) -> tuple[int, int]:
    """Return (parameters, MACs) that Table 1 prints for the network called ``name``.

    Raises: UnknownNameError, if ``name`` is no network of that table.
    """
    rows = [f"yeats2021-{row}-{kind}" for row in _TABLE1 for kind in ("real", "complex")]
    rows.remove("yeats2021-cifar2-complex")
    if name not in rows:
        raise UnknownNameError(f"Table 1 has no network {name!r}, only {', '.join(rows)}")
    model = build_model(name)
    macs = 0
    for layer, real_macs in layer_macs(model, model_entry(name).input_shape):
        is_dense = isinstance(layer, nn.Linear | ComplexLinear)
        if is_dense and name == _DENSE_MACS_LEFT_OUT:
            continue
        macs += real_macs // 4 if is_dense and name == _DENSE_MACS_COUNTED_ONCE else real_macs
    third_biases = sum(
        layer.bias_real.numel()
        for layer in model.modules()
        if isinstance(layer, ComplexConv2d | ComplexLinear) and layer.bias_real is not None
    )
    return parameter_count(model) + third_biases, macs

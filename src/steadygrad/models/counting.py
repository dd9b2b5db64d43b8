"""Parameters and multiply-accumulates (MACs) of a network, in real numbers.

A complex parameter counts as two real ones, and a complex MAC as four, as in Yeats et al. (2021).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils.flop_counter import FlopCounterMode

from steadygrad.errors import ModelError, UnknownNameError
from steadygrad.evaluation_mode import to_evaluation_mode
from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.models.entry import ImageShape
from steadygrad.models.registry import build_model, model_entry

__all__ = ["layer_macs", "mac_count", "parameter_count", "published_counts"]

_TABLE1 = ("mnist", "svhn", "fashion-mnist", "cifar1", "cifar2")
_DENSE_MACS_LEFT_OUT = "yeats2021-fashion-mnist-complex"
_DENSE_MACS_COUNTED_ONCE = "yeats2021-cifar1-complex"


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable real numbers in the network.

    Raises:
        ModelError: a lazy layer has no size yet.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if any(isinstance(parameter, UninitializedParameter) for parameter in trained):
        raise ModelError(
            f"the lazy layers of {type(model).__name__} have no size yet; run a batch of images "
            "through it first"
        )
    return sum(parameter.numel() * (2 if parameter.is_complex() else 1) for parameter in trained)


def mac_count(model: nn.Module, input_shape: ImageShape) -> int:
    """Return the real multiply-accumulates of one image's forward pass.

    Matrix products and convolutions count, wherever they are called: in layers, in functions, and
    in attention, whose products of tokens with tokens are among them. Biases, norms, poolings and
    activations do not count, as in the papers. PyTorch's ``FlopCounterMode`` counts, in the model's
    evaluation mode, which is left as it was afterwards.

    Args:
        model: any network on images. A complex MAC counts as four real ones, in the layers of
            ``steadygrad.layers`` and in matrix products of complex dtype. Convolutions of complex
            dtype count three, because PyTorch computes each by three real convolutions.
        input_shape: (channels, height, width) of the image.

    Returns:
        The number of products of two numbers that are added up.
    """
    return _counted(model, input_shape)[""]


def layer_macs(model: nn.Module, input_shape: ImageShape) -> dict[str, int]:
    """Return the real MACs inside every module that has any, by its name in ``named_modules``."""
    counts = _counted(model, input_shape)
    return {name: counts[name] for name, _ in model.named_modules() if counts.get(name)}


def _counted(model: nn.Module, input_shape: ImageShape) -> dict[str, int]:
    modes = {layer: layer.training for layer in model.modules()}
    tensors = (*model.parameters(), *model.buffers())
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), torch.zeros(()))
    image = torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)
    counter = FlopCounterMode(display=False)
    counter.flop_registry = {
        operation: _in_real_numbers(formula) for operation, formula in counter.flop_registry.items()
    }
    had_shortcut = torch.backends.mha.get_fastpath_enabled()
    try:
        to_evaluation_mode(model)
        # A transformer layer in one operation hides its products, and so does fused attention.
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH), counter:
            model(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(had_shortcut)
        for layer, training in modes.items():
            layer.training = training
    # The counter writes the class of the model before the names of its modules.
    start = len(type(model).__name__) + 1
    found = {
        name[start:]: sum(flops.values()) // 2  # a MAC is a product and a sum
        for name, flops in counter.get_flop_counts().items()
        if name != "Global"
    }
    return found | {"": counter.get_total_flops() // 2}


def _in_real_numbers(formula: Callable[..., int]) -> Callable[..., int]:
    """Return a formula of ``FlopCounterMode`` that counts a complex MAC as four real ones."""

    def counted(*args: Any, **kwargs: Any) -> int:
        is_complex = any(isinstance(value, Tensor) and value.is_complex() for value in args)
        return formula(*args, **kwargs) * (4 if is_complex else 1)

    return counted


def published_counts(name: str) -> tuple[int, int]:
    """Return (parameters, MACs) that Table 1 of Yeats et al. (2021) prints for a network.

    They are our true counts plus the table's three slips. The real rows hold. In the complex rows
    (1) every complex layer has one parameter per output too many, as if it had a third bias;
    (2) the MACs of Fashion-MNIST's dense layers are left out; and (3) CIFAR1's complex dense layers
    count one real MAC per complex MAC instead of four.

    Raises: UnknownNameError, if ``name`` is no network of that table.
    """
    rows = [f"yeats2021-{row}-{kind}" for row in _TABLE1 for kind in ("real", "complex")]
    rows.remove("yeats2021-cifar2-complex")
    if name not in rows:
        raise UnknownNameError(f"Table 1 has no network {name!r}, only {', '.join(rows)}")
    model = build_model(name)
    macs = layer_macs(model, model_entry(name).input_shape)
    printed = macs[""]
    dense = sum(
        macs[path]
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear | ComplexLinear)
    )
    if name == _DENSE_MACS_LEFT_OUT:
        printed -= dense
    elif name == _DENSE_MACS_COUNTED_ONCE:
        printed -= dense - dense // 4
    third_biases = sum(
        layer.bias_real.numel()
        for layer in model.modules()
        if isinstance(layer, ComplexConv2d | ComplexLinear) and layer.bias_real is not None
    )
    return parameter_count(model) + third_biases, printed

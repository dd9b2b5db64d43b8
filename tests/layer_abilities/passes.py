"""Passes forwards and backwards, in every mode of computing, and operations in place."""

from typing import Any

import torch
from torch import Tensor, nn

from layer_abilities.losses import all_gradients, curved, leaf, penalised_loss
from layer_abilities.registry import ability
from steadygrad.layers import (
    ComplexConv2d,
    ComplexLinear,
)


@ability
def a_step(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x)
    return y, all_gradients(layer, curved(y), x), dict(layer.named_buffers())


@ability
def a_penalised_step(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, penalised_loss(layer, x), x), dict(layer.named_buffers())


@ability
def evaluation(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, penalised_loss(layer.eval(), x), x)


@ability
def a_backward_pass_twice(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = penalised_loss(layer, x)
    first = torch.autograd.grad(loss, x, retain_graph=True)
    return first, all_gradients(layer, loss, x)


@ability
def frozen_parameters(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    layer.requires_grad_(False)
    return torch.autograd.grad(penalised_loss(layer, x), x)


@ability
def keyword_argument(layer: nn.Module, x: Tensor) -> Any:
    return layer(x=x) if isinstance(layer, ComplexConv2d | ComplexLinear) else layer(input=x)


@ability
def no_grad_and_inference_mode(layer: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        first = layer(x)
    with torch.inference_mode():
        return first, layer(x).clone()


@ability
def other_dtypes(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x.bfloat16())
    y = layer.bfloat16()(x)
    return y.dtype, y.shape, [gradient.dtype for gradient in all_gradients(layer, curved(y), x)]


@ability
def mixed_precision(layer: nn.Module, x: Tensor) -> Any:
    layer, x = layer.float(), leaf(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    return y, all_gradients(layer, curved(y.float()), x)


@ability
def a_batch_of_none(layer: nn.Module, x: Tensor) -> Any:
    return layer.eval()(leaf(x[:0]))


@ability
def channels_last(layer: nn.Module, x: Tensor) -> Any:
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.t().contiguous().t()
    return a_penalised_step(layer, x)


@ability
def a_device_without_data(layer: nn.Module, x: Tensor) -> Any:
    return layer.to("meta")(x.to("meta")).shape


@ability
def anomaly_detection(layer: nn.Module, x: Tensor) -> Any:
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        return a_penalised_step(layer, x)


@ability
def an_operation_in_place_on_the_output(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, curved(layer(x * 1).sub_(0.1).relu_()), x)


@ability
def an_operation_in_place_on_a_view_of_the_output(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x * 1)
    y[0].mul_(2)
    return all_gradients(layer, curved(y), x)


@ability
def an_operation_in_place_on_the_gradient(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = curved(layer(x))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    return all_gradients(layer, loss + gradient.mul_(2).square().sum(), x)

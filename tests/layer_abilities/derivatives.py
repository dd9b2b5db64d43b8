"""Vectorised derivatives, ``torch.func`` and forward mode."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, hvp, jacobian
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vjp, vmap

from layer_abilities.losses import curved, leaf
from layer_abilities.registry import ability


@ability
def batched_gradients(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x)
    directions = torch.linspace(-1, 1, 3 * y.numel(), dtype=y.dtype).view(3, *y.shape)
    inputs = (x, *layer.parameters())
    return torch.autograd.grad(y, inputs, directions, is_grads_batched=True)


@ability
def batched_gradients_of_a_penalty(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = curved(layer(x))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    some = gradient.flatten()[:4]
    inputs = (x, *layer.parameters())
    return torch.autograd.grad(
        some, inputs, torch.eye(4, dtype=x.dtype), is_grads_batched=True, allow_unused=True
    )


@ability
def vectorised_jacobian(layer: nn.Module, x: Tensor) -> Any:
    return jacobian(layer, x, vectorize=True)


@ability
def vectorised_forward_jacobian(layer: nn.Module, x: Tensor) -> Any:
    return jacobian(layer, x, vectorize=True, strategy="forward-mode")


@ability
def vectorised_hessian(layer: nn.Module, x: Tensor) -> Any:
    return hessian(lambda x: curved(layer(x)), x, vectorize=True)


@ability
def vectorised_hessian_forward_over_reverse(layer: nn.Module, x: Tensor) -> Any:
    return hessian(
        lambda x: curved(layer(x)), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    )


@ability
def hessian_times_vector(layer: nn.Module, x: Tensor) -> Any:
    return hvp(lambda x: curved(layer(x)), x, torch.ones_like(x))


@ability
def per_example_gradients(layer: nn.Module, x: Tensor) -> Any:
    parameters = {name: p.detach() for name, p in layer.eval().named_parameters()}
    buffers = {name: b.detach() for name, b in layer.named_buffers()}

    def loss(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        return curved(functional_call(layer, (parameters, buffers), one[None]))

    return vmap(grad(loss, argnums=(0, 1)), in_dims=(None, 0))(parameters, x)


@ability
def func_products(layer: nn.Module, x: Tensor) -> Any:
    layer = layer.eval()
    y, pull_back = vjp(layer, x)
    return jvp(layer, (x,), (x.cos(),)), pull_back(y)


@ability
def func_hessian(layer: nn.Module, x: Tensor) -> Any:
    return jacfwd(jacrev(lambda x: curved(layer.eval()(x))))(x)


@ability
def forward_mode(layer: nn.Module, x: Tensor) -> Any:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))).tangent


@ability
def forward_mode_over_the_backward_pass(layer: nn.Module, x: Tensor) -> Any:
    """Push a tangent through a graph that was recorded before forward mode began."""
    x = leaf(x)
    y = layer(x)
    with forward_ad.dual_level():
        direction = forward_ad.make_dual(torch.ones_like(y), y.detach().cos())
        (gradient,) = torch.autograd.grad(y, x, direction)
        return forward_ad.unpack_dual(gradient).tangent

"""Saved tensors under checkpointing, hooks and hidden activations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from layer_abilities.losses import all_gradients, curved, leaf, penalised_loss
from layer_abilities.registry import ability


@ability
def checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, curved(checkpoint(layer, x * 1, use_reentrant=False)), x)


@ability
def checkpointing_under_a_penalty(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(
        layer, penalised_loss(lambda x: checkpoint(layer, x * 1, use_reentrant=False), x), x
    )


@ability
def reentrant_checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    layer.zero_grad()
    curved(checkpoint(layer, x * 1, use_reentrant=True)).backward()
    return x.grad, [parameter.grad for parameter in layer.parameters()]


@ability
def selective_checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    saved = [torch.ops.aten.convolution.default, torch.ops.aten.addmm.default]
    contexts = partial(create_selective_checkpoint_contexts, saved)
    y = checkpoint(layer, x * 1, use_reentrant=False, context_fn=contexts)
    return all_gradients(layer, curved(y), x)


@ability
def saved_tensors_elsewhere(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    with torch.autograd.graph.save_on_cpu():
        loss = penalised_loss(layer, x)
    return all_gradients(layer, loss, x)


def penalty_on_hidden(
    layer: nn.Module, x: Tensor, watch: Callable[[Tensor, Tensor], None]
) -> tuple[Tensor, Tensor]:
    """Return the penalised loss of images that no longer require a gradient, and an activation.

    As double backpropagation leaves it: gradients before the layer are read by hooks alone.
    """
    images = leaf(x)
    hidden = images * 2
    watch(images, hidden)
    y = layer(hidden)
    loss = curved(y)
    (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
    images.requires_grad_(False)
    return loss + gradient.square().sum(), hidden


def nothing(images: Tensor, hidden: Tensor) -> None:
    pass


@ability
def hooks_before_the_first_parameter(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(layer, x, lambda _, hidden: hidden.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def hooks_on_the_images(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(layer, x, lambda images, _: images.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def late_hooks_and_retained_gradients(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, hidden = penalty_on_hidden(layer, x, nothing)
    hidden.register_hook(seen.append)
    hidden.retain_grad()
    loss.backward()
    return seen, hidden.grad


@ability
def a_hidden_activation_asked_for_by_name(layer: nn.Module, x: Tensor) -> Any:
    loss, hidden = penalty_on_hidden(layer, x, nothing)
    return torch.autograd.grad(loss, [hidden, *layer.parameters()])


@ability
def a_hidden_activation_far_from_the_layer(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    inner = nn.Sequential(nn.Tanh(), nn.Softplus(), layer)
    loss, _ = penalty_on_hidden(inner, x, lambda _, hidden: hidden.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def checkpointed_hidden_activations(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(
        lambda h: checkpoint(layer, h, use_reentrant=False),  # type: ignore[arg-type] # called only
        x,
        lambda _, hidden: hidden.register_hook(seen.append),
    )
    loss.backward()
    return seen


@ability
def module_hooks(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Any] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])),
        layer.register_forward_hook(lambda _, __, y: seen.append(y)),
        layer.register_full_backward_pre_hook(lambda _, g: seen.append(g)),
        layer.register_full_backward_hook(lambda _, gx, g: seen.append((gx, g))),
    ]
    loss, _ = penalty_on_hidden(layer, x, nothing)
    loss.backward()
    for handle in handles:
        handle.remove()
    return seen

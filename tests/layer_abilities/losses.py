"""Losses of a layer's output, with second derivatives worth comparing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def curved(y: Tensor) -> Tensor:
    """Return a loss whose second derivative is not constant."""
    weights = torch.arange(1, y.numel() + 1, dtype=y.dtype, device=y.device).view(y.shape).sin()
    return (y.square().tanh() * weights + y.sin()).sum()


def leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


def all_gradients(layer: nn.Module, loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, (*inputs, *layer.parameters()))


def penalised_loss(layer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    loss = curved(layer(images))
    (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
    return loss + gradient.square().sum()

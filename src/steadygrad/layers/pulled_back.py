"""Gradients that have a graph of their own, of any function of tensors."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["Inputs", "pulled_back"]

Inputs: TypeAlias = tuple[Tensor | None, ...]


def pulled_back(
    function: Callable[..., Tensor], inputs: Inputs, gradient: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Return the wanted gradients of the inputs, from that of the function's value; else None.

    They are partial derivatives: one input may itself depend on another.
    """
    chosen = [index for index, is_chosen in enumerate(wanted) if is_chosen]

    def of_chosen(*values: Tensor) -> Tensor:
        arguments = list(inputs)
        for index, value in zip(chosen, values, strict=True):
            arguments[index] = value
        return function(*arguments)

    pull_back = torch.func.vjp(of_chosen, *(inputs[index] for index in chosen))[1]
    found = dict(zip(chosen, pull_back(gradient), strict=True))
    return tuple(found.get(index) for index in range(len(inputs)))

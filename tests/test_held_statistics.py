"""Modules are found wherever a model holds them."""

import functools
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.held_statistics import modules_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3))


class Holder:
    """An ordinary object around a network."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, x: Tensor) -> Tensor:
        logits: Tensor = self.held(x)
        return logits

    def first(self, x: Tensor) -> Tensor:
        logits: Tensor = self.held[0](x)
        return logits


def test_modules_are_found_behind_functions_and_methods() -> None:
    net = network()
    bound = partial(lambda n, x: n(x), net)
    for model in (net, net.forward, lambda x: net(x), bound, Holder(net)):
        assert net[1] in modules_of(model)
    assert modules_of(torch.relu) == []


def ways_deep(net: nn.Module) -> list[Any]:
    @functools.wraps(net.forward)
    def named(x: Tensor) -> Tensor:
        return inner(x)

    inner = Holder(net).__call__
    return [
        Holder(net).__call__,
        Holder(Holder(net)),
        Holder([net]).first,
        Holder({"nets": (Holder(net),)}),
        partial(lambda f, x: f(x), lambda x: net(x)),
        torch.compile(Holder(net).__call__),
        named,
    ]


@pytest.mark.parametrize("way", range(len(ways_deep(nn.Identity()))))
def test_modules_are_found_behind_holders_of_holders(way: int) -> None:
    net = network()
    assert modules_of(ways_deep(net)[way])[: len(net) + 1] == list(net.modules())


def test_an_object_that_holds_itself_ends_the_search() -> None:
    holder = Holder([])
    holder.held.append(holder)
    assert modules_of(holder) == []

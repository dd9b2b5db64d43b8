"""Draws of the first pass, drawn again in the second: on the CPU and on one of several devices."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from steadygrad.penalties import model_passes
from steadygrad.penalties.model_passes import RandomState


def test_a_random_state_can_be_replayed_twice() -> None:
    state = RandomState(torch.device("cpu"))
    first = torch.rand(3), np.random.rand(), random.random()
    for _ in range(2):
        with state.replayed():
            again = torch.rand(3), np.random.rand(), random.random()
        assert torch.equal(first[0], again[0]) and first[1:] == again[1:]


class TwoDevices:
    """As ``torch.cuda`` with two devices, the first of which is current: a state each."""

    def __init__(self) -> None:
        self.current = 0
        self.states = [torch.tensor([100]), torch.tensor([7])]

    def get_rng_state(self) -> Tensor:
        return self.states[self.current].clone()

    def set_rng_state(self, state: Tensor) -> None:
        self.states[self.current] = state.clone()

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        before, self.current = self.current, device.index
        try:
            yield
        finally:
            self.current = before

    def draw(self, index: int) -> int:
        self.states[index] += 1
        return int(self.states[index])


def test_draws_are_those_of_the_images_device_and_not_of_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = TwoDevices()
    monkeypatch.setattr(torch, "get_device_module", lambda _: devices)
    monkeypatch.setattr(model_passes, "is_recording", lambda _: False)
    state = RandomState(torch.device("cuda", 1))
    first = devices.draw(1)
    assert state.has_moved()
    with state.replayed():
        again = devices.draw(1)
    assert first == again
    assert [int(each) for each in devices.states] == [100, 8]

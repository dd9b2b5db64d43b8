"""Laws of steadygrad.training.averaging."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from steadygrad.training import AveragedWeights, ExponentialMovingAverage


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()


@given(rate=st.floats(0, 0.999), steps=st.integers(1, 10_000))
def test_less_is_kept_of_the_first_steps(rate: float, steps: int) -> None:
    part = ExponentialMovingAverage(rate=rate)
    assert part.decay(steps) == min(rate, steps / (steps + 9))
    assert part.decay(steps) <= part.decay(steps + 1) <= rate


def test_equals_a_loop_over_the_weights() -> None:
    model, rate = network(), 0.5
    averaged = AveragedWeights(ExponentialMovingAverage(rate=rate), model)
    expected = [p.detach().double() for p in model.parameters()]
    for step in range(1, 25):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
            model(torch.randn(5, 3))
        averaged.update(model)
        kept = min(rate, step / (step + 9))
        expected = [
            kept * e + (1 - kept) * p.detach().double()
            for e, p in zip(expected, model.parameters(), strict=True)
        ]
    for ours, theirs in zip(averaged.network.parameters(), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-6)
        assert not ours.requires_grad
    for ours, theirs in zip(averaged.network.buffers(), model.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    assert not averaged.network.training and model.training


def test_rate_0_follows_the_weights_and_leaves_them_alone() -> None:
    model = network()
    averaged = AveragedWeights(ExponentialMovingAverage(rate=0.0), model)
    with torch.no_grad():
        model[0].weight.add_(1)
    before = model[0].weight.clone()
    averaged.update(model)
    assert torch.equal(averaged.network[0].weight, before)
    assert torch.equal(model[0].weight, before)
    assert averaged.network[0].weight.data_ptr() != model[0].weight.data_ptr()


def test_a_state_goes_on_to_the_same_bits() -> None:
    model = network()
    first = AveragedWeights(ExponentialMovingAverage(), model)
    first.update(model)
    second = AveragedWeights(ExponentialMovingAverage(), network())
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        model[0].weight.mul_(2)
    first.update(model)
    second.update(model)
    assert first.steps == second.steps == 2
    for one, other in zip(
        first.network.state_dict().values(), second.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.9, 0.998])
def test_a_constant_network_is_its_own_average(share: float) -> None:
    model = network()
    averaged = AveragedWeights(ExponentialMovingAverage(rate=share), model)
    for _ in range(20):
        averaged.update(model)
    for ours, theirs in zip(averaged.network.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)

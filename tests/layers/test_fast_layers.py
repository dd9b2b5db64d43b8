"""Turning a model's layers into ours changes its class names and nothing else."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import remove_parametrizations

from steadygrad.layers import (
    GELU,
    AvgPool2x2,
    BatchNorm2d,
    Conv2d,
    Linear,
    use_fast_layers,
    use_torch_layers,
)
from steadygrad.penalties import SquaredNormPenalty


class Subclassed(nn.BatchNorm2d):
    """Someone's own."""


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.AvgPool2d(2, stride=(2, 2)),
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU()),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def test_a_penalised_step_leaves_the_same_gradients_and_buffers() -> None:
    torch.manual_seed(0)
    theirs = network().double()
    ours = copy.deepcopy(theirs)
    called = []
    ours[1].register_forward_hook(lambda *_: called.append(1))
    assert use_fast_layers(ours) == 8
    assert [type(ours[k]) for k in range(4)] == [Conv2d, BatchNorm2d, GELU, AvgPool2x2]
    assert type(ours[-1]) is Linear
    images, labels = torch.rand(6, 1, 8, 8).double(), torch.arange(6) % 3
    for model in (theirs, ours):
        SquaredNormPenalty(strength=0.5)(model, images, labels).loss.backward()
    assert called
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)
    assert use_fast_layers(ours) == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.GELU(approximate="tanh"),
        nn.AvgPool2d(3),
        nn.AvgPool2d(2, stride=1),
        nn.AvgPool2d(2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, divisor_override=1),
        nn.BatchNorm1d(3),
        nn.Conv1d(1, 1, 1),
        Subclassed(3),
    ],
    ids=repr,
)
def test_what_is_not_the_same_is_left_alone(layer: nn.Module) -> None:
    before = type(layer)
    assert use_fast_layers(nn.Sequential(layer)) == 0
    assert type(layer) is before


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_networks_can_be_traced() -> None:
    model = network().eval()
    use_fast_layers(model)
    # Nodes written in Python cannot be traced. Unchecked: the check compares names of variables.
    traced = torch.jit.trace(model, torch.rand(2, 1, 8, 8), check_trace=False)
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(traced(images), model(images))
    assert "^_Convolve" not in str(traced.inlined_graph)


def test_layers_that_were_parametrized_meanwhile_turn_back_too() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    use_fast_layers(model)
    weight_norm(model[0])
    images = torch.rand(2, 1, 4, 4)
    expected = model(images)
    assert use_torch_layers(model) == 2
    assert isinstance(model[0], nn.Conv2d) and not isinstance(model[0], Conv2d)
    assert torch.allclose(model(images), expected, atol=1e-6)
    remove_parametrizations(model[0], "weight")
    assert type(model[0]) is nn.Conv2d

"""Which modules of a network are divided together, and what cannot be divided."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.distributed import HashStore, destroy_process_group, init_process_group

from steadygrad.distributed import Ranks
from steadygrad.errors import ModelError
from steadygrad.parallel_models import sharded_modules
from steadygrad.training.weights import DividedWeights, WholeWeights, weights_of_run


@pytest.fixture
def one_process() -> Iterator[Ranks]:
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield Ranks(0, 1)
    destroy_process_group()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(10, 10) for _ in range(2)])

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.layers:
            images = images + layer(images)
        return images


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 10), Residual(), Residual(), nn.Linear(10, 3))


@pytest.mark.parametrize(
    ("least", "names"),
    [
        (1_000_000, [""]),
        (200, ["1", "2", ""]),  # no list of modules, which has no forward of its own
        (110, ["1.layers.0", "1.layers.1", "2.layers.0", "2.layers.1", ""]),
    ],
)
def test_modules_of_enough_parameters_are_divided_together(
    one_process: Ranks, least: int, names: list[str]
) -> None:
    model = network()
    DividedWeights(model, (), one_process, least)
    called = {module: name for name, module in model.named_modules()}
    assert sorted(called[module] for module in sharded_modules(model)) == sorted(names)


def test_tied_parameters_stay_together(one_process: Ranks) -> None:
    model = network()
    model[3].weight = nn.Parameter(torch.zeros(10, 10))
    model[1].layers[0].weight = model[3].weight
    DividedWeights(model, (), one_process, 100)
    assert sharded_modules(model) == [model]


def test_a_gathered_network_computes_as_before(one_process: Ranks) -> None:
    model, images = network(), torch.rand(5, 4)
    expected, state = model(images), model.state_dict()
    held = DividedWeights(model, (), one_process, 200)
    with held.gathered(model):
        torch.testing.assert_close(model(images), expected)
    for name, tensor in held.whole(model.state_dict()).items():
        assert type(tensor) is Tensor and torch.equal(tensor, state[name])


def test_a_single_number_is_refused(one_process: Ranks) -> None:
    model = network()
    model[1].scale = nn.Parameter(torch.ones(()))
    with pytest.raises(ModelError, match=r"\(shard\), got 1.scale, a single number"):
        DividedWeights(model, (), one_process, 100)


def test_a_single_process_holds_the_whole() -> None:
    held = weights_of_run(network(), (), Ranks(0, 1), divided=True)
    assert type(held) is WholeWeights


def test_weights_that_are_not_finite_are_found_in_a_part(one_process: Ranks) -> None:
    model = network()
    held = DividedWeights(model, (), one_process, 100)
    assert held.are_finite()
    with torch.no_grad():
        model[3].bias.fill_(torch.inf)
    assert not held.are_finite()


@pytest.mark.parametrize("part", ["real", "imag"])
def test_both_parts_of_complex_weights_have_to_be_finite(part: str) -> None:
    model = nn.Module()
    model.weight = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    held = WholeWeights(model)
    assert held.are_finite()
    with torch.no_grad():
        getattr(model.weight, part)[1] = torch.nan
    assert not held.are_finite()

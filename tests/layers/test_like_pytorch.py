"""Every fast layer can do whatever PyTorch's layer in its place can do, with the same results.

A matrix: layers down, abilities across (``layer_abilities``). An ability is a function of a layer
and an input that returns tensors; it is asked of our layer and of PyTorch's, and the answers must
agree. The complex layers, which replace nothing, are held to their plain composition of PyTorch's
operations.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from layer_abilities import ABILITIES
from layer_abilities.pairs import LAYERS, pair
from layer_abilities.passes import a_penalised_step
from steadygrad.layers import linear as linear_module
from steadygrad.layers import use_fast_layers, use_torch_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    # is_grads_batched with PyTorch's own layers says so.
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]

NOT_OF_COMPLEX = {
    # Checks of shapes and settings in classes that never were TorchScript.
    "torchscript",
    # What a mode is shown depends on how the composition is written.
    "function_modes",
    # They compute in full precision under autocast, see test_complex_layers.py.
    "mixed_precision",
}
NOT_OF_COMPLEX_LINEAR = {
    # PyTorch's square root keeps its result, and refuses that somebody overwrites it.
    "an_operation_in_place_on_the_output",
    "an_operation_in_place_on_a_view_of_the_output",
}


@pytest.fixture(autouse=True)
def _small_products_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oneDNN have the small products of these tests."""
    monkeypatch.setattr(linear_module, "_LEAST_WORK", 1)
    monkeypatch.setattr(linear_module, "_LEAST_ROWS", 1)


def agree(mine: Any, other: Any) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def cases() -> Iterator[Any]:
    for name in LAYERS:
        for title in ABILITIES:
            if name.startswith("Complex") and title in NOT_OF_COMPLEX:
                continue
            if name == "ComplexLinear" and title in NOT_OF_COMPLEX_LINEAR:
                continue
            yield pytest.param(name, title, id=f"{name}: {title}")


@pytest.mark.parametrize(("name", "title"), list(cases()))
def test_our_layer_does_it_as_pytorchs_does(name: str, title: str) -> None:
    ours, theirs, x = pair(name)
    expected = ABILITIES[title](theirs, x)
    found = ABILITIES[title](ours, x)
    (mine, my_rest), (other, rest) = (tree_flatten(answer) for answer in (found, expected))
    assert my_rest == rest
    for one, wanted in zip(mine, other, strict=True):
        if isinstance(wanted, Tensor):
            agree(one, wanted)
        else:
            assert one == wanted


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Complex")])
def test_the_way_there_and_back(name: str) -> None:
    ours, theirs, x = pair(name)
    model = nn.Sequential(theirs)
    before = copy.deepcopy(model)
    assert use_fast_layers(model) == 1
    assert type(model[0]) is type(ours)
    assert model.state_dict().keys() == before.state_dict().keys()
    before.load_state_dict(model.state_dict())
    model.load_state_dict(before.state_dict())
    assert use_torch_layers(model) == 1
    assert type(model[0]) is type(before[0])
    assert vars(model[0]).keys() == vars(before[0]).keys()
    assert repr(model) == repr(before)
    agree(a_penalised_step(model, x), a_penalised_step(before, x))
    assert use_torch_layers(model) == 0

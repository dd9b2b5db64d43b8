"""Models as parts."""

import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.models import MODELS, ModelSource, build_model, model_entry, model_names
from steadygrad.parts import Family


@pytest.mark.parametrize("name", model_names())
def test_every_model_is_a_part_that_builds_its_network(name: str) -> None:
    source = MODELS.parse(name)
    assert isinstance(source, ModelSource)
    assert MODELS.text(source) == name
    assert MODELS.build(MODELS.table(source)) == source
    assert pickle.loads(pickle.dumps(source)) == source


def test_only_complex_models_have_a_second_order_rule() -> None:
    source = MODELS.parse("yeats2021-mnist-complex:second_order=frozen_phase")
    torch.manual_seed(0)
    network = source.build(input_shape=(1, 8, 8), num_classes=3)
    torch.manual_seed(0)
    same = build_model(
        "yeats2021-mnist-complex",
        input_shape=(1, 8, 8),
        num_classes=3,
        second_order="frozen_phase",
    )
    for ours, theirs in zip(network.parameters(), same.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(HyperparameterError, match="has no setting 'second_order'; it has none"):
        MODELS.parse("yeats2021-mnist-real:second_order=exact")


def test_the_names_are_those_of_steadygrad_in_the_papers_order() -> None:
    assert MODELS.names()[: len(model_names())] == model_names()
    assert model_names()[0].startswith("yeats2021-")


def test_a_model_of_another_package_is_no_architecture_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Tiny:
        def build(self, *, input_shape: Any = None, num_classes: Any = None) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    family: Family[Any] = Family("model", "steadygrad.models", group="no such group")
    family.register("tiny")(Tiny)
    monkeypatch.setattr("steadygrad.models.registry.MODELS", family)
    with pytest.raises(UnknownNameError, match="the model 'tiny' of another package"):
        model_entry("tiny")

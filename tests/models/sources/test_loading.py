"""Laws of steadygrad.models.sources.loading."""

from pathlib import Path

import pytest
from torch import nn

from steadygrad.errors import HyperparameterError, ModelError, UnknownNameError
from steadygrad.models import MODELS
from steadygrad.models.sources.loading import load_classifier, model_source
from steadygrad.models.sources.unnamed import RunModel


def test_a_run_that_lies_here_comes_before_a_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_source("digits-gelu") == MODELS.parse("digits-gelu")
    (tmp_path / "digits-gelu").mkdir()
    assert model_source("digits-gelu") == MODELS.parse("digits-gelu")  # no run yet
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / "digits-gelu" / name).touch()
    assert model_source("digits-gelu") == RunModel(path=Path("digits-gelu"))


def test_a_path_a_function_and_a_network_without_weights(tmp_path: Path) -> None:
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).touch()
    assert model_source(tmp_path) == RunModel(path=tmp_path)
    with pytest.raises(
        HyperparameterError, match=r"a torch\.nn\.Module or the name of a model, got"
    ):
        model_source(lambda images: images)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match=r"choose one of .*, run$"):
        model_source("digits-geluu")  # "object" stands for what a program gave
    with pytest.raises(ModelError, match="has no weights: it lies on the meta device"):
        load_classifier(nn.Linear(2, 2, device="meta"))

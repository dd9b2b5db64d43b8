"""Laws of steadygrad.models.sources.loading."""

from pathlib import Path

import pytest

from steadygrad.models import MODELS
from steadygrad.models.sources.loading import model_source
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

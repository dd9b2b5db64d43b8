"""Laws of steadygrad.training.run_folder."""

import json
from pathlib import Path

import pytest

from steadygrad.errors import CheckpointError
from steadygrad.training import TrainingResult, load_run_model, run_config


def test_a_missing_run_is_one_sentence(tmp_path: Path) -> None:
    for read in (run_config, load_run_model):
        with pytest.raises(CheckpointError, match=r"no run in .*absent: it has no config\.json"):
            read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is damaged"),
        (b"\xff", "is damaged"),
        (b"[]", "is not the configuration of a run"),
        (b"{}", "is not the configuration of a run"),
        (b'{"created": "today"}', "is not usable: training needs a value for data and model"),
        (
            b'{"created": "today", "data": "digits", "model": "digits-real", "epochs": 0}',
            "is not usable: expected epochs >= 1, got 0",
        ),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        run_config(tmp_path)


def test_a_run_without_checkpoint_yet_is_one_sentence(run: TrainingResult) -> None:
    (run.folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model file at .*model\.safetensors"):
        load_run_model(run.folder)


def test_the_date_of_creation_survives_resuming(run: TrainingResult) -> None:
    from steadygrad.training import TrainingConfig, train

    file = run.folder / "config.json"
    values = json.loads(file.read_text()) | {"created": "long ago"}
    file.write_text(json.dumps(values))
    settings = run_config(run.folder).to_dict() | {"epochs": 3}
    train(TrainingConfig.from_dict(settings), run.folder, resume=True)
    after = json.loads(file.read_text())
    assert (after["created"], after["epochs"]) == ("long ago", 3)

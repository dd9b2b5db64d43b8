"""Metrics of real runs in the real trackers, without a network."""

from pathlib import Path
from typing import Any

import pytest

from steadygrad.errors import OutputError
from steadygrad.training import TrainingConfig, train

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.filterwarnings("default"),  # theirs are not ours to mend
]

SETTINGS: dict[str, Any] = {
    "data": "digits",
    "model": "digits-gelu",
    "penalty": "norm:eps=0.1",
    "limit_train": 40,
    "device": "cpu",
}


def test_mlflow_holds_a_run_and_what_was_added_when_it_went_on(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/runs.db"
    trackers = [f"mlflow:robust,uri={uri}"]
    for epochs in (2, 3):
        config = TrainingConfig(**SETTINGS, epochs=epochs, trackers=trackers)
        result = train(config, tmp_path / "run", resume=epochs == 3)
    client = mlflow.MlflowClient(uri)
    place = client.get_experiment_by_name("robust").experiment_id
    (run,) = client.search_runs([place])
    assert (run.info.status, run.info.run_name) == ("FINISHED", str(tmp_path / "run"))
    assert run.data.params["penalty.eps"] == "0.1"
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [(each.step, each.value) for each in losses] == [
        (metrics.epoch, metrics.loss) for metrics in result.history
    ]


def test_an_mlflow_server_that_does_not_answer_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = TrainingConfig(**SETTINGS, trackers=["mlflow:uri=http://127.0.0.1:9"])
    with pytest.raises(OutputError, match=r"^the tracker mlflow:.* does not begin: [^\n]*$"):
        train(config, tmp_path / "run")


def test_wandb_keeps_a_run_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for epochs in (1, 2):
        config = TrainingConfig(**SETTINGS, epochs=epochs, trackers=["wandb:robust"])
        train(config, tmp_path / "run", resume=epochs == 2)
    names = {folder.name.split("-")[3] for folder in (tmp_path / "wandb").glob("offline-run*")}
    assert len(names) == 1  # one run, in two sittings

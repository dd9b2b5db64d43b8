"""The trackers that steadygrad brings along: Weights & Biases and MLflow."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from steadygrad.extras import extra
from steadygrad.training.tracking import TrackedRun, tracker

__all__ = ["MLflow", "WeightsAndBiases"]

_LONGEST_VALUE = 500
"""Characters of a parameter's value that every MLflow server takes."""


@tracker("wandb")
@dataclass(frozen=True, kw_only=True)
class WeightsAndBiases:
    """Weights & Biases (https://wandb.ai); ``WANDB_MODE=offline`` keeps the run on this machine.

    project: where the run appears. entity: user or team; None for the account's own.
    """

    positional: ClassVar[str] = "project"

    project: str = "steadygrad"
    entity: str | None = None

    def check(self) -> None:
        """Raise MissingExtraError, if wandb is not installed."""
        with extra("trackers"):
            import wandb  # noqa: F401 # it is only looked for

    def open(self, run: TrackedRun) -> "_WandbRun":
        """Begin a run, or go on with the one of ``run.key``."""
        import wandb

        key = run.key or secrets.token_hex(4)
        opened = wandb.init(
            project=self.project,
            entity=self.entity,
            name=run.name,
            id=key,
            resume="allow",
            config=dict(run.settings),
            settings=wandb.Settings(console="off", quiet=True),
        )
        return _WandbRun(opened, key)


class _WandbRun:
    def __init__(self, opened: Any, key: str) -> None:
        self._opened, self.key = opened, key

    def write(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._opened.log(dict(metrics), step=epoch)

    def close(self, *, is_finished: bool) -> None:
        self._opened.finish(exit_code=0 if is_finished else 1)


@tracker("mlflow")
@dataclass(frozen=True, kw_only=True)
class MLflow:
    """MLflow (https://mlflow.org).

    experiment: where the run appears; made if there is none. uri: of the server or database; None
        for ``MLFLOW_TRACKING_URI``, or MLflow's default.
    """

    positional: ClassVar[str] = "experiment"

    experiment: str = "steadygrad"
    uri: str | None = None

    def check(self) -> None:
        """Raise MissingExtraError, if mlflow is not installed."""
        with extra("trackers"):
            import mlflow  # noqa: F401 # it is only looked for

    def open(self, run: TrackedRun) -> "_MLflowRun":
        """Begin a run, or go on with the one of ``run.key``."""
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=self.uri)
        if run.key is not None:
            client.update_run(run.key, status="RUNNING")
            return _MLflowRun(client, run.key, mlflow.entities.Metric)
        there = client.get_experiment_by_name(self.experiment)
        place = there.experiment_id if there else client.create_experiment(self.experiment)
        key: str = client.create_run(place, run_name=run.name).info.run_id
        settings = [
            mlflow.entities.Param(name, str(value)[:_LONGEST_VALUE])
            for name, value in run.settings.items()
        ]
        client.log_batch(key, params=settings)
        return _MLflowRun(client, key, mlflow.entities.Metric)


class _MLflowRun:
    def __init__(self, client: Any, key: str, metric: Any) -> None:
        self._client, self.key, self._metric = client, key, metric

    def write(self, epoch: int, metrics: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        values = [self._metric(name, float(value), now, epoch) for name, value in metrics.items()]
        self._client.log_batch(self.key, metrics=values)

    def close(self, *, is_finished: bool) -> None:
        self._client.set_terminated(self.key, "FINISHED" if is_finished else "KILLED")

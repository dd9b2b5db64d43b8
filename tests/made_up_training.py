"""Run folders of trainings that never were: their metrics are made up, their weights missing."""

from collections.abc import Sequence
from typing import Any

import torch

from steadygrad.experiments import Network, NetworkStore
from steadygrad.tensor_file import write_tensors
from steadygrad.training import EpochMetrics, RunFolder

__all__ = ["made_up_epoch", "made_up_training"]


def made_up_epoch(**changes: Any) -> EpochMetrics:
    """Return an epoch's metrics."""
    values: dict[str, Any] = {
        "epoch": 1,
        "steps": 3,
        "learning_rate": 0.01,
        "loss": 1.5,
        "data_loss": 1.0,
        "penalty": 0.5,
        "train_accuracy": 0.5,
        "seconds": 2.0,
        "images": 96,
        "test_loss": 1.25,
        "test_accuracy": 0.4,
    }
    return EpochMetrics(**(values | changes))


def made_up_training(
    store: NetworkStore, network: Network, epochs: Sequence[dict[str, Any]]
) -> None:
    """Leave what a training of these epochs would have left, but for weights to load."""
    run = RunFolder(store.path(network))
    run.create(network.config, torch.device("cpu"))
    run.write_metrics([made_up_epoch(epoch=n, **e) for n, e in enumerate(epochs, start=1)])
    write_tensors(run.model, {}, {"made": "up"})

"""Two processes end where one process ends, and a failure of one ends both."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from distributed_world import in_processes
from steadygrad.datasets import batches, load_dataset
from steadygrad.training import TrainingConfig, load_model, train
from steadygrad.training.run_folder import RunFolder
from steadygrad.training.session import TrainingSession
from steadygrad.training.training_state import read_state

DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "model": "digits-gelu",
    "limit_train": 81,  # the last batch of an epoch has a single image: one process has none
    "batch_size": 16,
    "epochs": 2,
    "device": "cpu",
}
ROBUST = {"penalty": "squared-norm:strength=0.01"}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"validation_size": 600, "test_images": 30},
    "squared norm, noise": ROBUST
    | {
        "augmentation": ("flip", "crop:1", "gaussian:0.1", "uniform:0.05"),
        "clipping": "norm:0.5",
        "update_similarity": True,
    },
    "complex": ROBUST | {"model": "digits-complex"},
    "running covariance": {
        "penalty": "sgr:strength=0.1,covariance=stationary,covariance.source=gradient",
    },
    "running covariance, attack": {
        "penalty": "sgr:strength=0.1,covariance=dense,covariance.source=pgd,covariance.every=2",
    },
    "PGD": {"attack": "pgd:eps=0.1,steps=3", "averaging": "ema:0.9"},
    "PGD, restarts": {"attack": "pgd:eps=0.3,steps=2,restarts=4"},
    "half attacked": {"attack": "mixture:attack=pgd,attack.eps=0.1,attack.steps=2,fraction=0.3"},
    "fraction": {"penalty": "squared-norm:strength=0.05,fraction=0.2"},
    "finite difference": {"penalty": "norm:eps=0.05,backend=finite-difference"},
    "mixup": ROBUST | {"mixing": "mixup:0.3"},
}


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**(DEFAULTS | settings))


def weights(run: Path) -> Tensor:
    model, _ = load_model(RunFolder(run).model)
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def trainings(rank: int, folder: Path) -> None:
    for name, settings in SETTINGS.items():
        train(config(**settings), folder / name)

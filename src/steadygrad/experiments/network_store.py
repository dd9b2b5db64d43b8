"""Trained networks in one folder, under digests of their configurations, shared by experiments."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from steadygrad.errors import CheckpointError, OutputError
from steadygrad.experiments.network import Network
from steadygrad.tensor_file import check_is_whole
from steadygrad.training import (
    EpochMetrics,
    Progress,
    RunFolder,
    TrainedRun,
    decisive_settings,
    load_run_model,
    run_config,
    train,
)
from steadygrad.training.metrics_file import read_metrics

__all__ = ["NetworkStore"]


class NetworkStore:
    """One run folder per configuration; what is there is never trained twice.

    folder: made when the first network is trained.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def path(self, network: Network) -> Path:
        """Return the run folder of a network, there or not."""
        return self.folder / network.folder_name

    def has(self, network: Network) -> bool:
        """Return whether the network is there, trained to its last epoch.

        Raises: CheckpointError, if a file of it is damaged, or its folder holds another network.
        """
        run = RunFolder(self.path(network))
        if not (run.config.is_file() and run.model.is_file() and run.metrics.is_file()):
            return False
        with self._remedy(network):
            stored = decisive_settings(run_config(self.path(network)))
            epochs = len(read_metrics(run.metrics))
            check_is_whole(run.model)
        self._refuse_another(network, stored)
        return epochs >= network.config.epochs

    def train(
        self, network: Network, progress: Progress | None = None, minutes: float | None = None
    ) -> bool:
        """Train a network, or go on where a killed run left off; return whether it is finished.

        Waits while another process trains the same one. minutes: see ``steadygrad.training.train``.
        Raises: what ``steadygrad.training.train`` raises.
        """
        path = self.path(network)
        with self._alone(path):
            if self.has(network):
                return True
            is_begun = RunFolder(path).config.exists()
            result = train(
                network.config,
                path,
                resume=is_begun,
                overwrite=not is_begun,
                progress=progress,
                minutes=minutes,
            )
        return result.is_finished

    def load(self, network: Network, device: torch.device | str = "cpu") -> TrainedRun:
        """Return a trained network in eval mode.

        Raises: CheckpointError, if it is not there, not finished, damaged or of another
            configuration.
        """
        if not self.has(network):
            raise CheckpointError(f"{network.label} is not trained yet in {self.path(network)}")
        with self._remedy(network):
            return load_run_model(self.path(network), device)

    def metrics(self, network: Network) -> tuple[EpochMetrics, ...]:
        """Return what the training measured, epoch by epoch.

        Raises: as ``load``.
        """
        if not self.has(network):
            raise CheckpointError(f"{network.label} is not trained yet in {self.path(network)}")
        return read_metrics(RunFolder(self.path(network)).metrics)

    @contextmanager
    def _remedy(self, network: Network) -> Iterator[None]:
        """Say what helps where a file of a network is damaged."""
        try:
            yield
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; to train the network {network.label!r} again, delete the folder "
                f"{self.path(network)}"
            ) from error

    def _refuse_another(self, network: Network, stored: Mapping[str, Any]) -> None:
        # A digest shortened for a folder's name, or a folder copied by hand, proves nothing.
        wanted = decisive_settings(network.config)
        differing = sorted(name for name in wanted if stored.get(name) != wanted[name])
        if differing:
            raise CheckpointError(
                f"{self.path(network)} holds a network of another {', '.join(differing)}; move it "
                "away or choose another folder"
            )

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        lock = path.with_name(f".{path.name}.lock")
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"expected a folder for the networks, but {self.folder} is a file")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("w")
        except OSError as error:
            raise OutputError(f"cannot write {lock}: {error.strerror or error}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

"""The folder of a run: what lies where, and who may write into it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steadygrad.atomic_file import write_atomically
from steadygrad.datasets.sources import with_settings
from steadygrad.devices import device_name
from steadygrad.distributed import current_ranks
from steadygrad.errors import CheckpointError, OutputError
from steadygrad.folder_lock import LOCK_NAME
from steadygrad.json_file import read_object
from steadygrad.models import ModelSource, RunModel
from steadygrad.models.model_file import ModelSpec, load_model, read_spec, runs_code
from steadygrad.models.registry import innermost
from steadygrad.models.sources.unnamed import hardened_hint
from steadygrad.parts import part_fields, with_paths
from steadygrad.training.config import TrainingConfig
from steadygrad.training.metrics import EpochMetrics
from steadygrad.training.training_state import TrainingState, read_state
from steadygrad.training.version_0_1 import is_flat, nested_settings
from steadygrad.versions import library_versions

__all__ = ["PROVENANCE", "RunFolder", "TrainedRun", "load_run_model", "run_config"]

_FREE_TO_CHANGE = frozenset({"epochs", "checkpoint_seconds", "device", "shard", "trackers"})
"""Settings that a resumed run may change: how far to go, and what moves no number."""

PROVENANCE = (
    "steadygrad",
    "torch",
    "python",
    "threads",
    "device_name",
    "processes",
    "created",
)
"""What config.json says beside the configuration; earlier files lack some of it."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and the rules for starting and resuming in them."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, versions, device, threads, processes and date."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The latest weights: the averaged ones in a run that averages."""
        return self.path / "model.safetensors"

    @property
    def raw_model(self) -> Path:
        """The latest raw weights, in a run that averages them."""
        return self.path / "raw_model.safetensors"

    @property
    def state(self) -> Path:
        """What resuming needs."""
        return self.path / "training_state.pt"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def trackers(self) -> Path:
        """What the run is called in experiment trackers, and which epochs they have."""
        return self.path / "trackers.json"

    @property
    def evaluations(self) -> Path:
        """Accuracy curves of the latest weights."""
        return self.path / "evaluations"

    def refuse_unless_empty(self) -> None:
        """Raise OutputError, if a fresh run would mix with something that is there already."""
        try:
            occupied = self.path.is_dir() and any(
                each.name != LOCK_NAME for each in self.path.iterdir()
            )
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror or error}") from error
        if occupied:
            raise OutputError(
                f"{self.path} is not empty; resume the run in it, ask to overwrite it, or choose "
                "another folder"
            )
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"expected a folder for the run, but {self.path} is a file")

    def refuse_to_replace_source_of(self, model: ModelSource) -> None:
        """Raise OutputError, if the run, file or folder that a network comes from lies here."""
        for place in getattr(innermost(model), "places", ()):
            if place.expanduser().resolve().is_relative_to(self.path.resolve()):
                raise OutputError(
                    f"cannot overwrite {self.path}: the network comes from {place}; "
                    "choose another folder"
                )

    def create(self, config: TrainingConfig, device: torch.device) -> None:
        """Make the folder with its config.json, and remove what an earlier run left in it.

        Files that no run writes are left alone. device: where the run computes.
        Raises: OutputError.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for file in (
                *(self.state, self.model, self.raw_model, self.metrics, self.config),
                self.trackers,
            ):
                file.unlink(missing_ok=True)
            for folder in (self.tensorboard, self.evaluations):
                if folder.is_dir():
                    shutil.rmtree(folder)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        provenance = {
            **library_versions(),
            "threads": torch.get_num_threads(),
            "device_name": device_name(device),
            "processes": current_ranks().count,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomically(self.config, _as_json(config.to_dict() | provenance))

    def state_to_resume(self, config: TrainingConfig) -> TrainingState | None:
        """Return where the run here stands, None if it was killed before its first checkpoint.

        Raises: CheckpointError, if there is no run, one of its files is damaged, or it may not go
            on as ``config``: the text names every setting that differs and may not.
        """
        self._refuse_changes(run_config(self.path).to_dict(), config)
        if not self.state.exists():
            if self.model.exists():  # a checkpoint's weights come after its state
                raise CheckpointError(
                    f"cannot resume {self.path}: it has weights, but no {self.state.name} to go on "
                    "from; put that file back, or ask to overwrite the run"
                )
            return None
        state = read_state(self.state)
        self._refuse_changes(state.config, config)
        if state.epochs_done + bool(state.steps_done) > config.epochs:
            raise CheckpointError(
                f"cannot resume {self.path} with {config.epochs} epochs: "
                f"{state.epochs_done} epochs and {state.steps_done} steps are done"
            )
        return state

    def architecture_to_resume(self, model: ModelSource) -> ModelSource | None:
        """Return what the run's own weights are of, if it began with the network of another run.

        That one may be replaced or gone by now.
        """
        if not isinstance(innermost(model), RunModel) or not self.model.exists():
            return None
        own = read_spec(self.model).model
        return None if runs_code(own) else own

    def update_config(self, config: TrainingConfig) -> None:
        """Note what a resumed run changed, such as more epochs; versions and date stay.

        Raises: OutputError.
        """
        before = _read_config(self.path)
        now = before | config.to_dict()
        if now != before:
            write_atomically(self.config, _as_json(now))

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Write metrics.jsonl whole: no line of a lost epoch, and none twice."""
        lines = "".join(json.dumps(metrics.to_dict()) + "\n" for metrics in history)
        write_atomically(self.metrics, lines.encode())

    def _refuse_changes(self, before: Mapping[str, Any], config: TrainingConfig) -> None:
        # Settings that came after the run have their defaults in it.
        then, now = _without_place(_config_of(before)), _without_place(config)
        then = _with_moved_paths(then, now)
        differing = sorted(
            field.name
            for field in fields(now)
            if field.name not in _FREE_TO_CHANGE
            and getattr(now, field.name) != getattr(then, field.name)
        )
        if differing:
            changes = ", ".join(
                f"{name} (was {_words(then, name)}, now {_words(now, name)})" for name in differing
            )
            raise CheckpointError(f"cannot resume {self.path} with another {changes}")


@dataclass(frozen=True)
class TrainedRun:
    """A run's latest network, in eval mode, with what it was trained on and how."""

    model: nn.Module
    spec: ModelSpec
    config: TrainingConfig

    @property
    def dataset(self) -> str:
        """Name of the data set that the network was trained on."""
        return self.config.data_title


def run_config(run: Path | str) -> TrainingConfig:
    """Return the configuration of the run in a folder.

    Raises: CheckpointError, if there is no run or its config.json is damaged.
    """
    values = _read_config(Path(run))
    try:
        return _config_of(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{Path(run) / 'config.json'} is not usable: {error}") from error


def load_run_model(run: Path | str, device: torch.device | str = "cpu") -> TrainedRun:
    """Return the latest network of the run in a folder, ready for evaluation on ``device``.

    Raises: CheckpointError, if there is no run, no checkpoint yet, or one of its files is damaged.
    """
    config = run_config(run)
    model, spec = load_model(RunFolder(Path(run)).model, device)
    return TrainedRun(model, spec, config)


def _config_of(values: Mapping[str, Any]) -> TrainingConfig:
    settings = {key: value for key, value in values.items() if key not in PROVENANCE}
    if is_flat(settings):
        settings = nested_settings(settings)
    return TrainingConfig.from_dict(settings)


def _without_place(config: TrainingConfig) -> TrainingConfig:
    """Return the configuration without the folder of local copies, which moves no number."""
    if getattr(config.data, "data_dir", None) is None:
        return config
    return replace(config, data=with_settings(config.data, data_dir=None))


def _with_moved_paths(then: TrainingConfig, now: TrainingConfig) -> TrainingConfig:
    """Return the configuration with the other's path of the same name for each that is gone."""
    here: dict[str, Path] = {}
    with_paths(now, lambda path: here.setdefault(path.name, path))
    moved: TrainingConfig = with_paths(
        then, lambda path: path if path.exists() else here.get(path.name, path)
    )
    return moved


def _words(config: TrainingConfig, name: str) -> str:
    value, families = getattr(config, name), {s.key: s.family for s in part_fields(config)}
    family = families[name]
    if family is None or value is None or isinstance(value, tuple):
        return repr(value)
    return repr(family.text(value))


def _read_config(run: Path) -> dict[str, Any]:
    path = run / "config.json"
    if not path.is_file():
        hint = hardened_hint(run)
        raise CheckpointError(
            f"no run in {run}: it has no config.json" + (f"; {hint}" if hint else "")
        )
    values = read_object(path)
    if "created" not in values:
        raise CheckpointError(f"{path} is not the configuration of a run")
    return values


def _as_json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()

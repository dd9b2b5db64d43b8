"""A run folder as one value: settings, metrics, evaluations and the size of its network."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from steadygrad.datasets import DATA_SOURCES, DatasetEntry
from steadygrad.errors import CheckpointError, SteadygradError
from steadygrad.evaluation import Evaluation, read_evaluation
from steadygrad.evaluation.model_names import distinct_names
from steadygrad.evaluation.provenance import run_digest
from steadygrad.json_file import read_object
from steadygrad.models import ObjectModel, load_model, mac_count, parameter_count
from steadygrad.models.model_file import runs_code
from steadygrad.models.registry import innermost
from steadygrad.reports.training_words import model_text
from steadygrad.training import TrainingConfig, run_config
from steadygrad.training.command_words import evaluate_words
from steadygrad.training.metrics import EpochMetrics
from steadygrad.training.metrics_file import read_metrics
from steadygrad.training.run_folder import PROVENANCE

__all__ = ["RunRecord", "load_evaluations", "load_run", "load_runs"]


def load_evaluations(run: Path) -> tuple[Evaluation, ...]:
    """Return the evaluations in a run folder, oldest first.

    Raises: CheckpointError, if one of them is damaged, or counts what cannot be counted.
    """
    evaluations = []
    for path in sorted((run / "evaluations").glob("*.json")):
        evaluation = read_evaluation(path)
        _check(evaluation, path)
        evaluations.append(evaluation)
    return tuple(sorted(evaluations, key=lambda evaluation: evaluation.created))


def _check(evaluation: Evaluation, path: Path) -> None:
    n, data = evaluation.curve.n, evaluation.dataset
    missing = [key for key in ("name", "split", "n") if key not in data]
    if missing or "name" not in evaluation.curve.attack:
        what = f"data set has no {missing[0]!r}" if missing else "attack has no name"
        raise CheckpointError(f"{path} is damaged: its {what}")
    if data["n"] != n:
        raise CheckpointError(f"{path} is damaged: it says n = {data['n']} for {n} images")
    gallery = evaluation.gallery
    if gallery is not None and (
        gallery.clean.ndim != 4
        or gallery.clean.shape != gallery.adversarial.shape
        or any(
            part.shape != gallery.clean.shape[:1]
            for part in (
                gallery.labels,
                gallery.clean_predictions,
                gallery.adversarial_predictions,
            )
        )
    ):
        raise CheckpointError(f"{path} is damaged: the shapes of its gallery do not fit together")


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What a run folder says.

    name: the folder's, safe to print; config: the settings that decided the run; provenance:
        versions, device, threads, processes and date, as far as recorded.
    metrics: one per finished epoch; evaluations: at least one, oldest first.
    weights_digest: SHA-256 of the latest weights' file, None without one.
    parameters, macs: real numbers trained, and real multiply-accumulates an image; None for a
        network that left no weights and cannot be built without its data, or is the user's own
        code, which no file may run (its tensors do not tell which of them are trained).
    """

    path: Path
    name: str
    config: TrainingConfig
    provenance: Mapping[str, Any]
    metrics: tuple[EpochMetrics, ...]
    evaluations: tuple[Evaluation, ...]
    weights_digest: str | None
    parameters: int | None
    macs: int | None

    @property
    def epochs(self) -> int:
        """Epochs that the run was asked for."""
        return self.config.epochs

    @property
    def model(self) -> str:
        """The network's name and settings."""
        return model_text(self.config)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.metrics) >= self.epochs

    @property
    def total_seconds(self) -> float | None:
        """Training time so far, without validation; None before the first epoch's end."""
        return sum(epoch.seconds for epoch in self.metrics) if self.metrics else None

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean training time of an epoch."""
        return None if self.total_seconds is None else self.total_seconds / len(self.metrics)


def load_run(path: Path | str) -> RunRecord:
    """Return what the run folder at ``path`` says; an unfinished run is loaded as far as it got.

    Raises: CheckpointError, in one sentence, if the folder is missing or not a run's, a file in it
        is damaged, or it holds no evaluation (the sentence then says which command makes one).
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"no run at {path}: there is no such folder")
    if not path.is_dir():
        raise CheckpointError(f"expected the folder of a run, but {path} is a file")
    config = run_config(path)
    written = read_object(path / "config.json")
    metrics = read_metrics(path / "metrics.jsonl")
    evaluations = load_evaluations(path)
    if not evaluations:
        epochs = config.epochs
        state = f" (unfinished: {len(metrics)} of {epochs} epochs)" if len(metrics) < epochs else ""
        words = shlex.join(evaluate_words(path, config))
        raise CheckpointError(
            f"the run in {path}{state} has no evaluation yet; make one with "
            f"`steadygrad evaluate {words} --attack pgd --eps 0:0.3:0.02`"
        )
    parameters, macs = _count(path / "model.safetensors", config)
    return RunRecord(
        path=path,
        name=_printable(path.resolve().name),
        config=config,
        provenance={key: written[key] for key in PROVENANCE if key in written},
        metrics=metrics,
        evaluations=evaluations,
        weights_digest=run_digest(path),
        parameters=parameters,
        macs=macs,
    )


def load_runs(paths: Sequence[Path | str]) -> tuple[RunRecord, ...]:
    """Return the runs in several folders, with names that tell them apart.

    Folders of the same name are called by as much of their paths as it takes.
    Raises: as ``load_run``.
    """
    runs = [load_run(path) for path in paths]
    names = distinct_names([str(run.path) for run in runs])
    return tuple(replace(run, name=_printable(names[str(run.path)])) for run in runs)


def _printable(name: str) -> str:
    """Replace what neither a terminal nor XML can show."""
    known = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "\ufffd" for c in known) or "run"


def _count(weights: Path, config: TrainingConfig) -> tuple[int | None, int | None]:
    """Count the stored network; without one, the network that the settings describe."""
    if runs_code(config.model) or isinstance(innermost(config.model), ObjectModel):
        return None, None
    if weights.exists():
        model, spec = load_model(weights)
        return parameter_count(model), mac_count(model, spec.input_shape)
    entry = DATA_SOURCES.about(config.data)
    if not isinstance(entry, DatasetEntry):  # a set of the user's own: its weights know its shape
        return None, None
    channels, height, width = entry.input_shape
    side = getattr(config.data, "image_size", None)
    shape = (channels, height, width) if side is None else (channels, side, side)
    try:
        with torch.random.fork_rng(devices=[]):
            model = config.model.build(input_shape=shape, num_classes=entry.num_classes)
    except SteadygradError:
        return None, None
    return parameter_count(model), mac_count(model, shape)

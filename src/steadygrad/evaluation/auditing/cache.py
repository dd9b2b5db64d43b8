"""Finished attacks on disk: a stopped audit goes on with the next one."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from steadygrad.errors import CheckpointError, OutputError
from steadygrad.evaluation.auditing.attack_run import AttackRun
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.tensor_file import read_tensors, write_tensors

__all__ = ["AttackCache"]

_METADATA_KEY = "steadygrad-audit"
_TENSORS = ("attacked", "broken", "shown_rows", "shown")


class AttackCache:
    """One safetensors file per attack and configuration, in a folder; None keeps nothing.

    A configuration is everything that decides an outcome; a file is found by its digest, so that
    whatever changes, results of something else are never taken for it. Files of other
    configurations stay where they are. Each file is whole or not there.

    notify: told one sentence when a file turns out to be damaged; it counts as not there.
    """

    def __init__(self, folder: Path | None, notify: Callable[[str], None]) -> None:
        self.folder, self.notify = folder, notify

    def find(self, name: str, configuration: Mapping[str, Any]) -> tuple[AttackRun, str] | None:
        """Return the outcome stored for a configuration and when it was made; None without."""
        path = self._path(name, configuration)
        if path is None or not path.exists():
            return None
        try:
            tensors, metadata = read_tensors(path)
            record = json.loads(metadata[_METADATA_KEY])
            if record["configuration"] != _as_json(configuration):
                raise ValueError("it is of another configuration")
            return _run(record["outcome"], tensors), str(record["created"])
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            self.notify(f"{path} is damaged; {name} runs again ({type(error).__name__})")
            return None

    def store(
        self, name: str, configuration: Mapping[str, Any], run: AttackRun, created: str
    ) -> None:
        """Write an outcome under its configuration; atomic.

        Raises: OutputError.
        """
        path = self._path(name, configuration)
        if path is None:
            return
        outcome = {
            field.name: getattr(run.outcome, field.name)
            for field in dataclasses.fields(run.outcome)
            if field.name not in _TENSORS
        }
        record = {
            "configuration": _as_json(configuration),
            "outcome": outcome,
            "created": created,
        }
        tensors = {
            "attacked": run.outcome.attacked,
            "broken": run.outcome.broken,
            "shown_rows": run.shown_rows,
            "shown": run.shown,
        }
        make_folder(path.parent)
        write_tensors(path, tensors, {_METADATA_KEY: json.dumps(record)})

    def _path(self, name: str, configuration: Mapping[str, Any]) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(json.dumps(_as_json(configuration)).encode()).hexdigest()
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return self.folder / f"{slug}-{digest[:12]}.safetensors"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises: OutputError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


def _as_json(configuration: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(configuration, sort_keys=True))


def _run(outcome: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> AttackRun:
    attacked, broken = tensors["attacked"], tensors["broken"]
    if attacked.dtype != torch.bool or broken.dtype != torch.bool:
        raise ValueError("attacked and broken are no truth values")
    if attacked.shape != broken.shape or bool((broken & ~attacked).any()):
        raise ValueError("attacked and broken do not fit together")
    return AttackRun(
        outcome=AttackOutcome(**outcome, attacked=attacked, broken=broken),
        shown_rows=tensors["shown_rows"],
        shown=tensors["shown"],
    )

"""A transfer matrix on disk: JSON for people and programs, each image's outcome beside it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError, OutputError
from steadygrad.evaluation.transfer_matrix import TransferMatrix
from steadygrad.tensor_file import read_tensors, write_tensors
from steadygrad.versions import library_versions

__all__ = ["read_transfer", "write_transfer"]

_TENSORS = ("is_self", "correct", "self_correct", "clean_victims", "clean_sources", "labels")


def write_transfer(
    path: Path | str, matrix: TransferMatrix, *, dataset: Mapping[str, Any] | None = None
) -> Path:
    """Write ``matrix.to_json()`` at ``path``, each image's outcome in ``.safetensors`` beside it.

    dataset: what the images are from, as JSON can hold it, for the record.
    Each file is whole or not there, and the JSON file comes last: where it is, both are.
    Raises: OutputError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    tensors = {name: getattr(matrix, name) for name in _TENSORS}
    write_tensors(path.with_suffix(".safetensors"), tensors, {})
    record = matrix.to_json() | {
        "dataset": None if dataset is None else dict(dataset),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_transfer(path: Path | str) -> TransferMatrix:
    """Return what ``write_transfer`` wrote at ``path``, the JSON file.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another matrix.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    beside = path.with_suffix(".safetensors")
    if not beside.is_file():
        raise CheckpointError(f"{path} has no {beside.name} beside it")
    tensors, _ = read_tensors(beside)
    try:
        return _matrix(record, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a transfer matrix: {type(error).__name__}: {error}"
        ) from error


def _matrix(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TransferMatrix:
    matrix = TransferMatrix(
        attack=dict(record["attack"]),
        eps=float(record["eps"]),
        norm=record["norm"],
        sources=tuple(str(source["name"]) for source in record["sources"]),
        victims=tuple(str(victim["name"]) for victim in record["victims"]),
        source_digests=tuple(source["digest"] for source in record["sources"]),
        victim_digests=tuple(victim["digest"] for victim in record["victims"]),
        only_common=bool(record["only_common"]),
        seed=int(record["seed"]),
        seconds=float(record["seconds"]),
        is_self=tensors["is_self"],
        correct=tensors["correct"],
        self_correct=tensors["self_correct"],
        clean_victims=tensors["clean_victims"],
        clean_sources=tensors["clean_sources"],
        labels=tensors["labels"],
    )
    if matrix.to_json()["cells"] != record["cells"]:
        raise ValueError("the outcomes beside it give other accuracies")
    return matrix

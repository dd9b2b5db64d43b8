"""What a stored result has to say about where it came from."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError
from steadygrad.versions import library_versions

__all__ = ["provenance", "run_digest"]


def provenance(run: Path | str, dataset: ImageDataset, model_name: str) -> dict[str, Any]:
    """Return data set, model, SHA-256 of the run's weights (None without), time and versions.

    Raises: CheckpointError, if the weights are there and cannot be read.
    """
    return {
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "n": len(dataset),
            "note": dataset.note,
        },
        "model": model_name,
        "model_digest": run_digest(run),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }


def run_digest(run: Path | str) -> str | None:
    """Return the SHA-256 of a run's weights' file; None where there is none.

    Raises: CheckpointError, if the weights are there and cannot be read.
    """
    weights = Path(run) / "model.safetensors"
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"cannot read {weights}: {error.strerror or error}") from error

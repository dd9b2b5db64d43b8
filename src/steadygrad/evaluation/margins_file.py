"""Margins on disk: a JSON file for people and programs, each image's margin beside it."""

import hashlib
import json
import re
from pathlib import Path

from steadygrad.atomic_file import write_atomically
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.margins import Margins
from steadygrad.evaluation.provenance import provenance
from steadygrad.tensor_file import write_tensors

__all__ = ["write_margins"]


def write_margins(
    run: Path | str, margins: Margins, *, dataset: ImageDataset, model_name: str
) -> Path:
    """Write ``run/evaluations/margins/<slug>.json`` and ``.safetensors``; return the former's path.

    dataset: whose images were measured. The JSON file has ``margins.to_json()``, seconds and where
    it came from; the tensors are ``lengths``, ``relative`` and ``broken``. The same measurement of
    the same run overwrites itself.
    Raises: OutputError; HyperparameterError, if the data set has another number of images.
    """
    if len(dataset) != margins.n:
        raise HyperparameterError(
            f"expected the {margins.n} images of the margins, got {len(dataset)}"
        )
    path = Path(run) / "evaluations" / "margins" / f"{_slug(margins, dataset)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    tensors = {
        "lengths": margins.lengths,
        "relative": margins.relative,
        "broken": margins.broken,
    }
    write_tensors(path.with_suffix(".safetensors"), tensors, {})
    record = margins.to_json() | {"seconds": margins.seconds}
    record |= provenance(run, dataset, model_name)
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def _slug(margins: Margins, dataset: ImageDataset) -> str:
    said = f"{margins.attack['name']}-{Path(dataset.name).name}-{dataset.split}-{margins.n}"
    decisive = json.dumps([margins.attack, dataset.name], sort_keys=True).encode()
    digest = hashlib.sha256(decisive).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9]+', '-', said.lower())}-{digest}"

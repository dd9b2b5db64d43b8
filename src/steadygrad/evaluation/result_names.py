"""File names of stored results: what was done, and a digest of what decides the result."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadygrad.datasets import dataset_names
from steadygrad.evaluation.provenance import run_digest

__all__ = ["other_model", "result_slug"]


def result_slug(
    attack: str, data: Mapping[str, Any], n: int, decisive: list[Any], model: str = ""
) -> str:
    """Return a file name for what an attack did to ``n`` images.

    data: as ``data_record`` says. decisive: what else decides the result, as JSON can hold it.
    model: as ``other_model`` says.
    """
    said = f"{attack}-{Path(data['name']).name}-{data['split']}-{n}"
    decisive = [*decisive, data["name"], *([model] if model else [])]
    if data["name"] not in dataset_names():  # a folder, and there may be others of its name
        decisive.append(data["digest"])
    if "image_shape" in data:  # else it is the set's own
        decisive.append(data["image_shape"])
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9]+', '-', said.lower())}-{digest}"


def other_model(folder: Path | str, name: str, digest: str | None) -> str:
    """Return what tells apart models whose results share a folder; "" for the folder's own run.

    name: of the model; digest: of its weights, None if it is not known.
    Raises: CheckpointError, if there are weights that cannot be read.
    """
    has_weights = (Path(folder) / "model.safetensors").is_file()
    is_own = has_weights and (digest is None or digest == run_digest(folder))
    return "" if is_own else f"{name} {digest}"

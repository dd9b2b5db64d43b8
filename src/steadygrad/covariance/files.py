"""Covariance files: safetensors with the kind and its settings in the metadata, no code."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from steadygrad.covariance.block import BlockCovariance
from steadygrad.covariance.closed_form import ExponentialCovariance, IdentityCovariance
from steadygrad.covariance.dense import DenseCovariance
from steadygrad.covariance.operator import FixedCovariance
from steadygrad.covariance.stationary import RadialCovariance, StationaryCovariance
from steadygrad.errors import CheckpointError, HyperparameterError, SteadygradError
from steadygrad.tensor_file import read_tensors, write_tensors

__all__ = ["load_covariance", "save_covariance"]

_METADATA_KEY = "steadygrad-covariance"

_KINDS: dict[str, type[FixedCovariance]] = {
    kind.kind: kind
    for kind in (
        IdentityCovariance,
        DenseCovariance,
        StationaryCovariance,
        RadialCovariance,
        BlockCovariance,
        ExponentialCovariance,
    )
}


def save_covariance(path: Path | str, covariance: FixedCovariance) -> None:
    """Write a covariance, atomically; of a running one, write ``running.current``.

    Raises: OutputError, if ``path`` cannot be written; a file there then stands as it was.
        HyperparameterError, for a running covariance.
    """
    if not isinstance(covariance, FixedCovariance):
        raise HyperparameterError(
            f"expected a covariance that no longer changes, got {type(covariance).__name__}; write "
            "running.current"
        )
    described = {
        "kind": covariance.kind,
        "image_shape": covariance.image_shape,
        "settings": covariance.settings(),
    }
    metadata = {_METADATA_KEY: json.dumps(described, sort_keys=True)}
    write_tensors(path, covariance.tensors(), metadata)


def load_covariance(path: Path | str) -> FixedCovariance:
    """Read a covariance, on the CPU, checked like one made by hand.

    Reads numbers and JSON only: loading runs no code from the file.
    Raises: CheckpointError, if the file is missing, damaged, not one of ours, or holds no
        covariance.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no covariance file at {path}")
    tensors, described = _read(path)
    try:
        kind = _KINDS[described["kind"]]
        channels, height, width = described["image_shape"]
        if "verify" in described["settings"]:  # nothing that comes from a file goes unchecked
            raise ValueError("a file cannot vouch for itself")
        return kind.from_parts((channels, height, width), tensors, described["settings"])
    except SteadygradError as error:
        raise CheckpointError(f"{path} holds no usable covariance: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} has an unknown description of its covariance") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = read_tensors(path)
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path} does not say that it holds a steadygrad covariance")
    try:
        described: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
    except ValueError as error:
        raise CheckpointError(f"{path} has unreadable metadata") from error
    return tensors, described

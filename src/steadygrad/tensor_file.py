"""Named tensors with a text each in safetensors files: read without executing anything."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError, OutputError

__all__ = ["check_is_whole", "read_tensors", "write_tensors"]


def write_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write copies of the tensors and the metadata; atomic.

    Raises: OutputError, if ``path`` cannot be written, or something is no tensor; a file there then
        stands as it was.
    """
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise OutputError(
                f"cannot write {path}: expected tensors alone, got {type(tensor).__name__} as "
                f"{name!r}; keep what get_extra_state returns in buffers"
            )
    # clone: safetensors refuses tensors that share memory.
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(Path(path), save(stored, dict(metadata)))


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors, on the CPU, and the metadata.

    Raises: CheckpointError, if the file cannot be read or is no safetensors file.
    """
    # Read once: safe_open opens the path twice, and another process may replace it in between.
    try:
        data = Path(path).read_bytes()
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    return tensors, header.get("__metadata__") or {}


def check_is_whole(path: Path | str) -> None:
    """Refuse a file that is shorter or longer than its header says, without reading the tensors.

    Raises: CheckpointError, if the file cannot be read, or is no whole safetensors file.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = 8 + int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(start - 8)) if start <= size else None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError:
        header = None
    try:
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        expected = start + max((entry["data_offsets"][1] for entry in tensors), default=0)
    except (AttributeError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file") from error
    if size != expected:
        raise CheckpointError(f"{path} is damaged: it has {size} bytes, and should have {expected}")

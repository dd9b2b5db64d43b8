"""Weights from anyone's file: safetensors, state dicts, trainers' checkpoints and folders."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from steadygrad.errors import CheckpointError, ModelError
from steadygrad.models.sources.key_names import named_alike
from steadygrad.tensor_file import read_tensors

__all__ = ["FOLDER_FILES", "Weights", "fill", "load_weights", "read_weights"]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Under which trainers keep a state dict among other things, in this order."""

_EXTRA_STATE = "_extra_state"
"""How a state dict calls what a module's ``get_extra_state`` returns."""

FOLDER_FILES = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True, eq=False)
class Weights:
    """Named tensors of a file.

    Attributes:
        path: where they come from, for sentences.
        tensors: on the CPU, under the file's own keys.
        notes: what was understood of the file, each half a sentence.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()

    def matched(self, model: nn.Module) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return the tensors under the model's keys, and what had to be understood for it.

        Raises:
            CheckpointError: names the first key, shape or type that does not fit.
        """
        expected = _tensors_of(model)
        try:
            found, notes = named_alike(dict(self.tensors), expected)
        except ModelError as error:
            raise CheckpointError(f"{self.path} does not fit the model: {error}") from error
        found = _completed(found, model)
        for problem, names in (
            ("lacks", expected.keys() - found.keys()),
            ("adds", found.keys() - expected.keys()),
        ):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                raise CheckpointError(
                    f"{self.path} does not fit the model: it {problem} {min(names)!r}{more}"
                    f"{_hint(found, expected)}"
                )
        for name, tensor in expected.items():
            self._check(name, tensor, found[name])
        return {name: found[name] for name in expected}, (*self.notes, *notes)

    def _check(self, name: str, ours: Tensor, theirs: Tensor) -> None:
        if isinstance(ours, UninitializedParameter | UninitializedBuffer):
            return  # a lazy layer takes whatever shape it is given
        if ours.shape != theirs.shape:
            raise CheckpointError(
                f"{self.path} does not fit the model: expected {name!r} of shape "
                f"{tuple(ours.shape)}, got {tuple(theirs.shape)}"
            )
        if _kind(ours) != _kind(theirs):
            raise CheckpointError(
                f"{self.path} does not fit the model: expected {name!r} as {_dtype(ours)}, got "
                f"{_dtype(theirs)}; quantised weights have to be turned back into numbers first"
            )


def load_weights(model: nn.Module, path: Path | str) -> tuple[str, ...]:
    """Load a file's weights into a model, every key of the model, and return what was understood.

    Nothing in the file is executed (``weights_only=True``). Prefixes that wrappers add to all keys
    (``module.``, ``_orig_mod.``, ``model.``) are understood and named in what is returned. Lazy
    layers and parameters on the meta device are filled.

    Args:
        model: any network, changed in place.
        path: safetensors under any name; a state dict of ``torch.save``, alone or among other
            things (Lightning, ``{"net": ..., "epoch": 3}``); a folder of transformers or a run.

    Returns:
        Half a sentence for each thing that was understood; empty for a plain file.

    Raises:
        CheckpointError: the file is missing, damaged or does not fit; names what.
    """
    return fill(model, read_weights(Path(path)))


def fill(model: nn.Module, weights: Weights) -> tuple[str, ...]:
    """Load weights that were read before; as ``load_weights``."""
    found, notes = weights.matched(model)
    own = _tensors_of(model)
    is_meta = any(tensor.is_meta for tensor in own.values())
    if is_meta:
        found = {name: tensor.to(own[name].dtype) for name, tensor in found.items()}
    # What get_extra_state returns stays the model's own: a file of tensors has none.
    others = {name: value for name, value in model.state_dict().items() if name not in own}
    model.load_state_dict(found | others, assign=is_meta)
    return notes


def read_weights(path: Path) -> Weights:
    """Return the tensors of a file or folder under its own keys, wrappers around them removed.

    Raises:
        CheckpointError: it is missing, damaged, or not a file of weights.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        raise CheckpointError(f"{path} is empty; fetch it again")
    if head.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{path} is a web page and holds no weights; the server answered the download with a "
            "message, so open it in a browser and fetch the file again"
        )
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a Git LFS pointer and holds no weights; run git lfs pull")
    if path.suffix == ".safetensors" or _is_safetensors(head):
        return Weights(path, read_tensors(path)[0])
    is_archive, is_pickle = head.startswith(b"PK"), head.startswith(b"\x80")
    if not (is_archive or is_pickle):
        raise CheckpointError(f"{path} is damaged or no file of weights")
    if is_archive and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is damaged or incomplete; fetch or save it again")
    return _unwrapped(path, _unpickled(path))


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30


def _of_folder(folder: Path) -> Weights:
    for name in FOLDER_FILES:
        file = folder / name
        if not file.is_file():
            continue
        if not name.endswith(".json"):
            weights = read_weights(file)
        else:
            weights = Weights(folder, _shards(folder, file))
        return Weights(file, weights.tensors, (f"read {name}", *weights.notes))
    raise CheckpointError(f"no weights in {folder}: expected one of {', '.join(FOLDER_FILES)}")


def _shards(folder: Path, index: Path) -> dict[str, Tensor]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is damaged: {error}") from error
    tensors: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names a file outside its folder: {name!r}")
        tensors |= read_weights(folder / name).tensors
    return tensors


def _unpickled(path: Path) -> Any:
    data = io.BytesIO(path.read_bytes())
    try:
        return torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its parts raise
        text = str(error)
        if "TorchScript" in text:
            remedy = "it is a TorchScript program; save its state_dict()"
        elif "Unsupported global" in text or "weights_only" in text.lower():
            remedy = _what_it_needs(data)
        else:
            raise CheckpointError(
                f"{path} is damaged or no file of weights ({type(error).__name__})"
            ) from error
        # torch's own text advises to execute what is in the file.
        raise CheckpointError(
            f"{path} cannot be read without executing code: {remedy}, best with "
            "safetensors.torch.save_file"
        ) from error


def _what_it_needs(data: io.BytesIO) -> str:
    try:
        data.seek(0)
        names = torch.serialization.get_unsafe_globals_in_checkpoint(data)
    except Exception:  # the file is not of a kind that torch can look into
        names = []
    holds = f"it holds {', '.join(sorted(names)[:3])}" if names else "it holds more than tensors"
    return f"{holds}; save model.state_dict() alone"


def _unwrapped(path: Path, loaded: Any) -> Weights:
    notes: list[str] = []
    entry = loaded
    while isinstance(entry, Mapping) and not _is_state_dict(entry):
        inside = [str(key) for key, value in entry.items() if _holds_state_dict(value)]
        chosen = next((key for key in _WRAPPERS if key in inside), inside[0] if inside else None)
        if chosen is None:
            break
        others = [key for key in inside if key != chosen]
        aside = f", not from {', '.join(others)}" if others else ""
        notes.append(f"taken from its entry {chosen!r}{aside}")
        entry = entry[chosen]
    if not _is_state_dict(entry):
        raise CheckpointError(f"expected a state dict of tensors in {path}, got {_kinds(loaded)}")
    tensors = {key: tensor for key, tensor in entry.items() if isinstance(tensor, Tensor)}
    if len(tensors) < len(entry):
        notes.append("left out its extra state, which is no tensor")
    return Weights(path, tensors, tuple(notes))


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and any(isinstance(tensor, Tensor) for tensor in value.values())
        and all(
            isinstance(key, str) and (isinstance(tensor, Tensor) or key.endswith(_EXTRA_STATE))
            for key, tensor in value.items()
        )
    )


def _holds_state_dict(value: Any) -> bool:
    if not isinstance(value, Mapping) or _is_state_dict(value):
        return isinstance(value, Mapping)
    return any(key in value and _is_state_dict(value[key]) for key in _WRAPPERS)


def _kinds(loaded: Any) -> str:
    """Return what a file holds in place of tensors, in a few words."""
    if not isinstance(loaded, Mapping):
        return f"an object of type {type(loaded).__name__}"
    others = [key for key, value in loaded.items() if not isinstance(value, Tensor)]
    if not others:
        return "an empty dict" if not loaded else "tensors under keys that are no texts"
    named = ", ".join(f"{key!r} ({type(loaded[key]).__name__})" for key in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    beside = f" beside {len(loaded) - len(others)} tensors" if len(loaded) > len(others) else ""
    return f"a dict with {named}{more}{beside}; save model.state_dict() alone"


def _tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}


def _completed(found: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Add what files may leave out: the second name of a shared tensor, counters of batch norms."""
    expected = model.state_dict(keep_vars=True)
    by_identity: dict[int, str] = {id(t): name for name, t in expected.items() if name in found}
    completed = dict(found)
    for name, tensor in expected.items():
        if name in completed:
            continue
        if id(tensor) in by_identity:
            completed[name] = found[by_identity[id(tensor)]]
        elif (
            name.endswith("num_batches_tracked")
            and name.replace("num_batches_tracked", "running_mean") in found
        ):
            completed[name] = torch.zeros((), dtype=torch.int64)
    return completed


def _hint(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    if found.keys() & expected.keys() or not found:
        return ""
    return f"; the model has keys such as {min(expected)!r}, the file such as {min(found)!r}"


def _kind(tensor: Tensor) -> str:
    if tensor.is_complex():
        return "complex"
    return "floating" if tensor.is_floating_point() else "whole"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

"""Model files: weights in safetensors that know how to rebuild their network and run no code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad.default_tensors import DefaultTensors
from steadygrad.error_text import reason
from steadygrad.errors import CheckpointError, SteadygradError
from steadygrad.models.registry import (
    MODELS,
    ModelSource,
    bare,
    innermost,
    model_entry,
    own_network,
    with_weights,
)
from steadygrad.parts import with_absolute_paths
from steadygrad.tensor_file import read_tensors, write_tensors

__all__ = ["ModelSpec", "load_model", "read_spec", "runs_code", "save_model", "save_weights"]

_METADATA_KEY = "steadygrad"
"""One key only: safetensors writes several in no fixed order, and equal runs give equal bytes."""


@dataclass(frozen=True)
class ModelSpec:
    """What is needed to build a network again: its source, and the images and classes it is for."""

    model: ModelSource
    input_shape: tuple[int, int, int]
    num_classes: int

    @property
    def name(self) -> str:
        """The model's name, without its settings."""
        return MODELS.name_of(self.model) or type(self.model).__name__

    def build(self) -> nn.Module:
        """Return a network of the caller's own, fresh weights drawn from torch's global generator.

        Raises: as ``own_network``.
        """
        return own_network(self.model, input_shape=self.input_shape, num_classes=self.num_classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as JSON can hold it, without places of weights.

        The path of a folder that the network is built from is absolute.
        """
        return {
            "model": MODELS.table(with_absolute_paths(bare(self.model))),
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelSpec":
        """Return the specification of these values; those of version 0.1 are understood.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: they are not one.
        """
        values = dict(values)
        channels, height, width = values.pop("input_shape")
        classes = values.pop("num_classes")
        for count in (channels, height, width, classes):
            if type(count) is not int or count < 1:
                raise ValueError(f"expected whole numbers of at least 1, got {count!r}")
        table = values.get("model", values)
        if "model" not in values and not model_entry(values["name"]).is_complex:
            table = {"name": values["name"]}  # version 0.1 gave every model a second-order rule
        return cls(MODELS.build(table), (channels, height, width), classes)


def save_model(path: Path | str, model: nn.Module, spec: ModelSpec) -> None:
    """Write weights and buffers, with ``spec`` in the metadata; atomic.

    Raises: OutputError, if ``path`` cannot be written; the file there then stands as it was.
    """
    save_weights(path, model.state_dict(), spec)


def save_weights(path: Path | str, weights: Mapping[str, Tensor], spec: ModelSpec) -> None:
    """Write the weights and buffers of a network's ``state_dict()``, as ``save_model`` does.

    Raises: OutputError, if ``path`` cannot be written; the file there then stands as it was.
    """
    write_tensors(path, weights, {_METADATA_KEY: json.dumps(spec.to_dict(), sort_keys=True)})


def load_model(
    path: Path | str, device: torch.device | str = "cpu", *, source: ModelSource | None = None
) -> tuple[nn.Module, ModelSpec]:
    """Return the network in eval mode on ``device``, and its specification.

    Reads numbers and JSON only: loading runs no code from the file, and imports nothing that the
    file alone names. Torch's random state is left as it was.

    Args:
        path: of a file that ``save_model`` wrote.
        device: where the network goes.
        source: the model, as the caller knows it. Needed for one that is a callable, since the
            file's word alone must not decide which code runs, and for a network that a program
            gave (``ObjectModel.of(network)``), which stays as it is.

    Raises:
        CheckpointError: the file is missing, damaged, not one of ours, does not fit the network
            that it names, or names a callable that ``source`` does not.
    """
    path = Path(path)
    tensors, metadata = _read(path)
    spec = _parse_spec(path, metadata)
    if runs_code(spec.model) and (source is None or bare(source) != spec.model):
        raise CheckpointError(
            f"{path} holds weights of {MODELS.text(spec.model)}, whose code a file must not run; "
            f"name the model yourself, as {MODELS.text(with_weights(spec.model, path))}"
        )
    if source is not None and bare(source) == spec.model:
        spec = replace(spec, model=bare(source))
    plain = DefaultTensors(torch.float32, torch.device("cpu"))
    with torch.random.fork_rng(devices=[]), plain.lent():
        try:
            model = spec.build()
        except (SteadygradError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} names a model that cannot be built: {reason(error)}"
            ) from error
    _check_fit(path, tensors, model.state_dict())
    model.load_state_dict(tensors)
    return model.to(device).eval(), spec


def read_spec(path: Path | str) -> ModelSpec:
    """Return the specification in a model file.

    Raises:
        CheckpointError: the file is missing, damaged or not one of ours.
    """
    return _parse_spec(Path(path), _read(Path(path))[1])


def spec_of_run(weights: Path) -> ModelSpec | None:
    """Return the specification in a file of weights that a run wrote; None for anyone else's."""
    try:
        return read_spec(weights)
    except CheckpointError:
        return None


def runs_code(source: ModelSource) -> bool:
    """Return whether building a model runs code that a user named, as of a callable."""
    return bool(getattr(innermost(source), "runs_code", False))


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"no model file at {path}")
    return read_tensors(path)


def _parse_spec(path: Path, metadata: Mapping[str, str]) -> ModelSpec:
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path} holds weights but does not say of which steadygrad model")
    try:
        return ModelSpec.from_dict(json.loads(metadata[_METADATA_KEY]))
    except SteadygradError as error:
        raise CheckpointError(f"{path} names a model that cannot be built: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} has an unknown description of its model") from error


def _check_fit(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for problem, names in (("lacks", expected.keys() - found), ("adds", found.keys() - expected)):
        if names:
            raise CheckpointError(f"{path} does not fit its model: it {problem} {min(names)!r}")
    for name, tensor in expected.items():
        ours, theirs = ((tuple(t.shape), t.dtype) for t in (tensor, found[name]))
        if ours != theirs:
            raise CheckpointError(
                f"{path} does not fit its model: expected {name!r} of shape {ours[0]} and "
                f"{ours[1]}, got {theirs[0]} and {theirs[1]}"
            )

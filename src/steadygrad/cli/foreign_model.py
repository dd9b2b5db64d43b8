"""Any model by the name of what builds it: ``package.module:callable``, with its weights."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad.errors import CheckpointError, ModelError
from steadygrad.tensor_file import read_tensors

__all__ = ["build_foreign_model", "load_weights"]

_WRAPPER_KEYS = ("state_dict", "model_state_dict", "model")
"""Under which trainers keep a state dict among other things."""


def build_foreign_model(target: str) -> nn.Module:
    """Return the module that ``package.module:callable`` builds when called without arguments.

    The current directory can be imported from. A name that stands for an ``nn.Module`` itself is
    taken as it is.
    Raises: ModelError, if there is no such module or name, it raises, or it builds something else.
    """
    module_name, _, path = target.partition(":")
    thing: Any = _imported(module_name, target)
    for name in path.split("."):
        if not hasattr(thing, name):
            raise ModelError(f"{target}: {module_name} has no {path!r}{_similar(thing)}")
        thing = getattr(thing, name)
    if isinstance(thing, nn.Module):
        return thing
    if not callable(thing):
        raise ModelError(f"{target}: expected a callable, got {type(thing).__name__}")
    try:
        model = thing()
    except Exception as error:  # the builder is the user's own code
        raise ModelError(f"{target} raised {_described(error)}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{target}: expected it to return a torch.nn.Module, got {type(model).__name__}"
        )
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict into the model, every key of both sides: safetensors or PyTorch's own.

    A file of PyTorch is read without executing anything (``weights_only=True``); the state dict
    may lie under ``state_dict`` or ``model``, and its keys may begin with the ``module.`` of
    ``DataParallel``.
    Raises: CheckpointError, naming the file and the first key that does not fit.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}")
    found = read_tensors(path)[0] if path.suffix == ".safetensors" else _pickled(path)
    expected = model.state_dict()
    if found and all(key.startswith("module.") for key in found):
        bare = {key.removeprefix("module."): tensor for key, tensor in found.items()}
        found = bare if not bare.keys().isdisjoint(expected) else found
    for problem, names in (("lacks", expected.keys() - found), ("adds", found.keys() - expected)):
        if names:
            raise CheckpointError(
                f"{path} does not fit the model: it {problem} {min(names)!r}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            )
    for name, tensor in expected.items():
        ours, theirs = tuple(tensor.shape), tuple(found[name].shape)
        if ours != theirs:
            raise CheckpointError(
                f"{path} does not fit the model: expected {name!r} of shape {ours}, got {theirs}"
            )
    model.load_state_dict(found)


def _imported(name: str, target: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing == name or name.startswith(f"{missing}."):
            raise ModelError(
                f"{target}: there is no module {missing!r}, neither installed nor in {here}"
            ) from error
        raise ModelError(f"{target}: importing {name} needs {missing!r}, not installed") from error
    except Exception as error:  # the module is the user's own code
        raise ModelError(f"{target}: importing {name} raised {_described(error)}") from error


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its parts raise
        # torch's own text advises to execute what is in the file.
        raise CheckpointError(
            f"{path} cannot be read without executing code ({type(error).__name__}); save "
            "model.state_dict(), best with safetensors.torch.save_file"
        ) from error
    for key in _WRAPPER_KEYS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise CheckpointError(f"expected a state dict of tensors in {path}, got something else")
    return dict(loaded)


def _described(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def _similar(thing: Any) -> str:
    names = [name for name in vars(thing) if not name.startswith("_")] if vars(thing) else []
    callables = [
        name
        for name in names
        if callable(getattr(thing, name))
        and getattr(getattr(thing, name), "__module__", None) == getattr(thing, "__name__", "")
    ]
    return f"; it has {', '.join(callables[:8])}" if callables else ""

"""Settings of attacks as values that JSON can hold and that say the same in every run."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from steadygrad.covariance import CovarianceFile

__all__ = ["hides_numbers", "plain_setting", "plain_settings"]


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by name, each as ``plain_setting``; leading underscores are dropped."""
    return {name.strip("_"): plain_setting(value) for name, value in settings.items()}


def plain_setting(value: Any) -> Any:
    """Return a JSON value for a setting: itself where it is one, else a text without addresses.

    Arrays and tensors appear as shape, dtype and digest, a module as it prints and a digest of its
    state, a covariance file as its name and a digest; an object as its class and attributes.
    Raises: CheckpointError, if a covariance file cannot be read.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return plain_setting(value.item())
    if isinstance(value, list | tuple):
        return [plain_setting(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): plain_setting(part) for name, part in value.items()}
    if isinstance(value, torch.Tensor | np.ndarray):
        return _array_text(value)
    if isinstance(value, nn.Module):
        return _module_text(value)
    if isinstance(value, CovarianceFile):
        return value.record()
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    if " at 0x" not in text and not hides_numbers(value):
        return text
    inside = plain_settings(getattr(value, "__dict__", {}))
    return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in inside.items())})"


def hides_numbers(value: Any) -> bool:
    """Return whether two values that differ in their numbers may have the same ``repr``.

    That of a tensor or an array leaves out most, that of a module all, and so does what holds one;
    a covariance file says nothing of what is in it.
    """
    if isinstance(value, torch.Tensor | np.ndarray | nn.Module | CovarianceFile):
        return True
    if isinstance(value, Mapping):
        return any(map(hides_numbers, value.values()))
    if isinstance(value, list | tuple):
        return any(map(hides_numbers, value))
    if is_dataclass(value) and not isinstance(value, type):
        return any(hides_numbers(getattr(value, field.name)) for field in fields(value))
    return False


def _array_text(value: torch.Tensor | np.ndarray[Any, Any]) -> str:
    if isinstance(value, torch.Tensor):
        # NumPy has no bfloat16; every number of it is one of float32.
        wide = value.float() if value.dtype == torch.bfloat16 else value
        array = wide.detach().cpu().numpy()
    else:
        array = value
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return f"{array.dtype} {array.shape}, sha256 {digest}"


def _module_text(module: nn.Module) -> str:
    printed = re.sub(r" at 0x[0-9a-f]+", "", repr(module))
    state = str(plain_settings(module.state_dict()))
    return f"{printed}, sha256 {hashlib.sha256(state.encode()).hexdigest()[:16]}"

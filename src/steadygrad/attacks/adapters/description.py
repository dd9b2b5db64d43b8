"""Settings of foreign attacks as values that JSON can hold and that say the same in every run."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["plain_setting", "plain_settings"]


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by name, each as ``plain_setting``; leading underscores are dropped."""
    return {name.strip("_"): plain_setting(value) for name, value in settings.items()}


def plain_setting(value: Any) -> Any:
    """Return a JSON value for a setting: itself where it is one, else a text without addresses.

    Arrays and tensors appear as shape, dtype and digest; an object as its class and attributes.
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
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    if " at 0x" not in text:
        return text
    inside = plain_settings(getattr(value, "__dict__", {}))
    return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in inside.items())})"


def _array_text(value: torch.Tensor | np.ndarray[Any, Any]) -> str:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return f"{array.dtype} {array.shape}, sha256 {digest}"

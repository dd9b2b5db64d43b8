"""Choosing where to compute."""

import torch

from steadygrad.errors import HyperparameterError

__all__ = ["device_name", "resolve_device"]


def resolve_device(name: str | torch.device) -> torch.device:
    """Return the device ``name``; "auto" is CUDA if there is one, otherwise the CPU.

    Raises: HyperparameterError, if torch does not know the device or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise HyperparameterError(f"device {str(name)!r} is not available here") from error
    if device.type == "meta":
        raise HyperparameterError(
            "expected a device that computes, got 'meta', which has no numbers"
        )
    return device


def device_name(device: torch.device) -> str:
    """Return what people call a device: the name of the card, or the kind, such as "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

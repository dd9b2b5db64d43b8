"""Architectures by name."""

from torch import nn

from steadygrad.errors import UnknownNameError
from steadygrad.models import digits, ross2018, roth2018, yeats2021
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder

__all__ = ["build_model", "model_entry", "model_names"]

_ENTRIES: dict[str, ModelEntry] = {
    entry.name: entry for room in (yeats2021, ross2018, roth2018, digits) for entry in room.ENTRIES
}


def model_names() -> tuple[str, ...]:
    """Return the names that ``build_model`` accepts, in the papers' order."""
    return tuple(_ENTRIES)


def model_entry(name: str) -> ModelEntry:
    """Return what is known about an architecture.

    Raises: UnknownNameError, listing the names there are.
    """
    if name not in _ENTRIES:
        raise UnknownNameError(f"unknown model {name!r}; choose one of {', '.join(model_names())}")
    return _ENTRIES[name]


def build_model(
    name: str,
    *,
    input_shape: ImageShape | None = None,
    num_classes: int | None = None,
    second_order: SecondOrder = "exact",
) -> nn.Module:
    """Return a named network with fresh weights, drawn from torch's global generator.

    input_shape: (channels, height, width); num_classes: at least 2; both default to the paper's.
    second_order: how complex layers differentiate the input-gradient penalty, "exact" (ordinary
        autograd) or "frozen_phase" (Yeats et al. 2021, Eqs. 9 and 10); real networks ignore it.
    The network maps images in [0, 1], (N, channels, height, width), to logits (N, num_classes);
    whatever preprocessing the paper uses is its first layers.
    Raises: UnknownNameError, if there is no such name; ModelError, if the shape does not fit.
    """
    return model_entry(name).build(
        input_shape=input_shape, num_classes=num_classes, second_order=second_order
    )

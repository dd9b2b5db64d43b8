"""What a reader has to know of weights that were trained with another activation than before."""

from steadygrad.models.registry import ModelSource
from steadygrad.models.smooth import Smooth, SmoothActivation

__all__ = ["activation_note", "new_activation"]


def new_activation(source: ModelSource) -> SmoothActivation | None:
    """Return the activation that a source puts in place of ReLU; None if it keeps the network's."""
    return source.activation if isinstance(source, Smooth) else None


def activation_note(activation: SmoothActivation | None) -> str:
    """Return the sentence that goes with weights of a network with a new activation; or ""."""
    if activation is None:
        return ""
    return (
        f"The network has {activation} in place of ReLU: call "
        f'`steadygrad.models.smooth_activations(network, "{activation}")` on a network of the '
        "original code before `load_state_dict`, else it computes something else."
    )

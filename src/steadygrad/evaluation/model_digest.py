"""Which model a result is of: a digest of its weights and buffers."""

import hashlib
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier
from steadygrad.errors import ModelError

__all__ = ["model_digest", "structure_digest", "tensors_digest", "weights_digest"]


def model_digest(model: nn.Module) -> str:
    """Return the SHA-256 of a module's ``state_dict``, see ``tensors_digest``.

    Equal digests mean equal weights, on whatever device, not equal models: what has no tensor, such
    as a factor on the logits or an activation function, does not count, see ``structure_digest``.
    Raises: ModelError, if the state holds anything but tensors.
    """
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(
                f"expected a state of tensors alone, got {type(value).__name__} as {name!r}"
            )
    return tensors_digest(state)


def structure_digest(model: nn.Module) -> str:
    """Return the SHA-256 of how a module prints: its layers and what they say of themselves."""
    printed = re.sub(r" at 0x[0-9a-f]+", "", repr(model))
    return hashlib.sha256(printed.encode()).hexdigest()


def weights_digest(model: Classifier) -> str | None:
    """Return ``model_digest``, None for what is no module or has no weights to tell it apart."""
    if not isinstance(model, nn.Module) or not model.state_dict():
        return None
    return model_digest(model)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        shape = "x".join(map(str, tensor.shape))
        # The lengths keep one tensor's end from passing for the next one's beginning.
        digest.update(f"{len(name)} {name} {tensor.dtype} {shape} ".encode())
        values = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()

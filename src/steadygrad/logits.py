"""Finding the logits in what a model returns: a tensor, a dict, a tuple or a library's output."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from steadygrad.errors import ModelError

__all__ = ["logits_of"]


def logits_of(output: Any) -> Tensor:
    """Return the logits in what a model returned; (batch,) becomes (batch, 1).

    Raises:
        ModelError: there are none.
    """
    found = output
    if isinstance(output, Mapping):
        if "logits" not in output:
            raise ModelError(
                "expected logits from the model, got a dict without 'logits', with "
                f"{', '.join(map(str, output)) or 'nothing'}"
            )
        found = output["logits"]
    elif not isinstance(output, Tensor) and isinstance(getattr(output, "logits", None), Tensor):
        found = output.logits
    elif isinstance(output, tuple | list) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        raise ModelError(f"expected logits from the model, got {type(output).__name__}")
    return found.unsqueeze(1) if found.ndim == 1 else found

"""Finding the logits in what a model returns: a tensor, a dict, a tuple or a library's output."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from steadygrad.errors import ModelError

__all__ = ["logits_of"]

_NAME_THEM = (
    "let the model return them alone, or in a dict {'logits': ...}, which a wrapper around it can "
    "do in its forward"
)


def logits_of(output: Any) -> Tensor:
    """Return the logits in what a model returned; (batch,) becomes (batch, 1).

    They are what is called ``logits`` in a mapping, a dataclass or a named tuple, and the first of
    another tuple or list, unless one of the others may be meant as well: a matrix of another width.

    Raises:
        ModelError: there are none, or it is not clear which.
    """
    found = output
    if isinstance(output, Mapping):
        if "logits" not in output:
            raise ModelError(
                "expected logits from the model, got a dict without 'logits', with "
                f"{', '.join(map(str, output)) or 'nothing'}; {_NAME_THEM}"
            )
        found = output["logits"]
    elif not isinstance(output, Tensor) and isinstance(getattr(output, "logits", None), Tensor):
        found = output.logits
    elif isinstance(output, tuple | list) and output:
        found = _first(output)
    if not isinstance(found, Tensor):
        raise ModelError(
            f"expected logits from the model, got {type(output).__name__}; {_NAME_THEM}"
        )
    return found.unsqueeze(1) if found.ndim == 1 else found


def _first(outputs: Sequence[Any]) -> Any:
    shapes = [
        tuple(each.shape)
        for each in outputs
        if isinstance(each, Tensor) and each.ndim == 2 and each.is_floating_point()
    ]
    # Matrices of one shape are the logits of a network's main and auxiliary heads.
    if len(set(shapes)) > 1:
        raise ModelError(
            f"expected logits from the model, got {type(outputs).__name__} of {len(shapes)} "
            f"matrices that may be meant, of shapes {', '.join(map(str, shapes))}; {_NAME_THEM}"
        )
    return outputs[0]

"""Leaves whose gradient nobody reads: the copies of images that a penalty differentiates at."""

from torch import Tensor

__all__ = ["is_unread", "mark_unread"]

_MARK = "_steadygrad_unread"


def mark_unread(leaf: Tensor) -> None:
    """Say that ``backward()`` need not work out the gradient of a leaf; see ``is_read``.

    ``requires_grad`` stays as it is: checkpointing runs the forward pass again and refuses a leaf
    that has changed.
    """
    setattr(leaf, _MARK, True)


def is_unread(leaf: Tensor) -> bool:
    """Return whether a leaf was marked."""
    return getattr(leaf, _MARK, False)

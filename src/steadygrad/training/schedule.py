"""Multi-step decay of the learning rate."""

from collections.abc import Sequence

__all__ = ["multi_step_rate"]


def multi_step_rate(
    epoch: int, *, learning_rate: float, drop_at: Sequence[int], drop_factor: float
) -> float:
    """Return ``learning_rate * drop_factor^k``, with k the drops that lie before ``epoch``.

    epoch: counted from 1. drop_at: epochs after which the rate drops, so ``drop_at=(10,)`` trains
    epochs 1 to 10 at the full rate. A function of the epoch alone: resuming needs no state.
    """
    return learning_rate * drop_factor ** sum(epoch > drop for drop in drop_at)

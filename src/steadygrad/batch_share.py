"""Which images of a step's whole batch this process has, where several processes share it.

The trainer declares it around a step; what has to look at the whole batch asks for it: random
draws, the fraction of a batch that is penalised or attacked, batch norms, a running covariance.
Without a declaration a batch is a whole one, also where there are several processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steadygrad.distributed import Ranks, average_over_ranks
from steadygrad.errors import HyperparameterError

__all__ = ["BatchShare", "current_share", "first_of_batch", "mean_over_batch", "share_of_batch"]


@dataclass(frozen=True)
class BatchShare:
    """Every ``count``-th image of a batch, from this process's rank on.

    So each process has its part of the first images of a batch, of which a penalty or an attack
    may take a fraction. A process without an image, of a batch of fewer images than processes,
    computes with the batch's first one and lets it count for nothing: the others wait for it where
    they exchange something.

    Args:
        ranks: the processes.
        total: images of the whole batch, at least 1.

    Raises:
        HyperparameterError: total is below 1.
    """

    ranks: Ranks
    total: int

    def __post_init__(self) -> None:
        if self.total < 1:
            raise HyperparameterError(f"expected a batch of at least 1 image, got {self.total}")

    @property
    def size(self) -> int:
        """How many images count here; 0 where the one computed with does not."""
        return len(range(self.ranks.rank, self.total, self.ranks.count))

    @property
    def weight(self) -> float:
        """By how much a mean over one's own images counts in that over the whole batch."""
        return self.size / self.total

    @property
    def rows(self) -> slice:
        """The rows of the whole batch that this process computes with; never empty."""
        if self.size == 0:
            return slice(0, 1)
        return slice(self.ranks.rank, self.total, self.ranks.count)

    def own(self, whole: Tensor, axis: int = 0) -> Tensor:
        """Return this process's part of a tensor of the whole batch, its images along ``axis``."""
        if self.ranks.count == 1:
            return whole
        index = (slice(None),) * (axis % whole.ndim) + (self.rows,)
        return whole[index].contiguous()

    def parts(self, wanted: int, first: int | None = None) -> list["BatchShare"]:
        """Return this share cut into shares of the same batch, to be computed one after the other.

        Each is what one of ``wanted`` times as many processes would have; fewer where a part would
        otherwise have less than 2 images, of which a batch norm may make nothing.

        first: so many of the batch's first images go through a batch norm by themselves: each part
            has 2 of these.
        """
        ranks = self.ranks
        least = self.total if first is None else min(first, self.total)
        count = max(1, min(wanted, least // (2 * ranks.count)))
        return [
            replace(self, ranks=Ranks(ranks.rank + part * ranks.count, ranks.count * count))
            for part in range(count)
        ]

    def first(self, count: int) -> "BatchShare":
        """Return the share of the first ``count`` images; they come first among one's own, too."""
        return replace(self, total=min(count, self.total))


_SHARE: ContextVar[BatchShare | None] = ContextVar("share", default=None)


def current_share() -> BatchShare | None:
    """Return the share that was declared; None where a batch is a whole one."""
    return _SHARE.get()


@contextmanager
def share_of_batch(share: BatchShare) -> Iterator[None]:
    """Declare that batches inside the block are this process's share of larger ones.

    With a single process nothing is declared: its share is the whole batch.
    """
    token = _SHARE.set(share if share.ranks.count > 1 else None)
    try:
        yield
    finally:
        _SHARE.reset(token)


@contextmanager
def first_of_batch(count: int) -> Iterator[int]:
    """Declare that batches inside are those of the first ``count`` images of the whole batch.

    Args:
        count: of the whole batch, at least 1.

    Yields:
        how many of this process's own images to take, at least 1.
    """
    share = current_share()
    if share is None:
        yield count
        return
    with share_of_batch(share.first(count)):
        yield max(share.first(count).size, 1)


@torch.no_grad()
def mean_over_batch(values: Tensor) -> Tensor:
    """Return the mean of (batch,) over the whole batch, a scalar without a graph."""
    share = current_share()
    if share is None:
        return values.detach().mean()
    return average_over_ranks(values.mean(), share.size)

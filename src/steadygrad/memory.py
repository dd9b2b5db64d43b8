"""Keeping freed memory, where the next step wants it again, and telling when there is none left."""

from functools import cache

import torch

__all__ = ["is_out_of_memory", "keep_freed_memory"]

LARGEST_LESSON = 31 << 20
"""Bytes: just below the size beyond which the GNU allocator no longer adapts its thresholds."""


@cache
def keep_freed_memory() -> None:
    """Let the GNU allocator keep up to 62 MiB of freed memory instead of returning it at once.

    It hands tensors of some megabytes back to the system when they are freed, and every page taken
    anew costs a fault: a quarter of a real network's penalised step (docs/benchmarks.md). The
    allocator raises its limits to twice the size of a large block when such a block is freed; this
    frees one, of which no page was ever touched. Other allocators do not care.

    Double backpropagation, attacks, this library's convolutions and the command line call it; a
    training loop of one's own without them may. Only the first call does anything.
    """
    torch.empty(LARGEST_LESSON, dtype=torch.uint8)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)

"""Keeping freed memory in the process, so that a training step does not fault it in again."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator not to hand freed memory back to the kernel; return whether it did.

    By default glibc maps every large tensor afresh and unmaps it when it is freed. A training
    step allocates hundreds of them, and faulting their pages in again costs a fifth to a third of
    the penalised step on a CPU (docs/benchmarks.md). The process keeps its peak size instead.

    It changes the whole process, so the library never calls it by itself; the command line does.
    Without glibc (macOS, Windows, musl) it does nothing and returns False.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    # No mapping at all: everything comes from the heap, which -1 says is never trimmed.
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))

"""Freed memory stays in the process, where the allocator can be told so."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from steadygrad.memory import keep_freed_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):  # as a training step does: many large tensors, all freed at its end
        [torch.ones(1_000_000) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
keep_freed_memory()
faults()
print(usual, faults())
"""


def test_a_large_tensor_is_not_faulted_in_again() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the allocator is not glibc's")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    usual, kept = map(int, done.stdout.split())
    assert kept < usual / 2

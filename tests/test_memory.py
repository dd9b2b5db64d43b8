"""Freed memory stays in the process, where the allocator can be told so."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
from steadygrad.memory import keep_freed_memory
import torch
torch.set_num_threads(1)
assert keep_freed_memory() or not {expected}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    torch.ones(4_000_000)
before = faults()
for _ in range(20):
    torch.ones(4_000_000)
print(faults() - before)
"""


def test_a_large_tensor_is_not_faulted_in_again() -> None:
    has_glibc = platform.libc_ver()[0] == "glibc"
    if not has_glibc:
        pytest.skip("the allocator is not glibc's")
    script = SCRIPT.format(expected=has_glibc)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    # Twenty times 16 MB in pages of 4 KiB would be 78,000 faults.
    assert int(done.stdout) < 4000, done.stderr

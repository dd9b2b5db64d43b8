"""A running covariance over several processes is that of one process with the joint batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steadygrad.covariance import RunningCovariance
from steadygrad.penalties import StructuredPenalty
from structured_setting import IMAGES, LABELS, perturbations, smooth

PROCESS = """
import sys, torch
from torch import distributed
sys.path.insert(0, sys.argv[4])
from steadygrad.covariance import RunningCovariance
from steadygrad.penalties import StructuredPenalty
from structured_setting import IMAGES, LABELS, perturbations, smooth

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
part = slice(0, 20) if rank == 0 else slice(20, 30)
found = {}
for name in ("dense", "stationary", "radial", "block"):
    running = RunningCovariance(name)
    running.update(perturbations()[part])
    counts = []
    # Zeros in one process count as images; a value that is not finite, or zeros in all, do not.
    for factor in (rank == 0, 1.0 if rank == 0 else float("nan"), 0):
        running.offer(perturbations()[part] * factor)
        counts.append(running.updates)
    found[name] = running.state_dict() | {"counts": counts}
penalty = StructuredPenalty(strength=1.0, covariance=RunningCovariance(), source="fgsm")
half = slice(0, 3) if rank == 0 else slice(3, 6)
found["penalty"] = penalty(smooth(), IMAGES[half], LABELS[half]).penalty.detach()
torch.save(found, f"{out}.{rank}")
distributed.barrier()
distributed.destroy_process_group()
"""


def test_two_processes_are_one_with_the_joint_batch(tmp_path: Path) -> None:
    script, tests = tmp_path / "process.py", str(Path(__file__).parents[1])
    script.write_text(PROCESS)
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), tmp_path / "store", tmp_path / "out", tests],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    first, second = (torch.load(tmp_path / f"out.{rank}") for rank in range(2))
    for name in ("dense", "stationary", "radial", "block"):
        assert first[name]["counts"] == second[name]["counts"] == [2, 2, 2]
        one = RunningCovariance(name)
        one.update(perturbations())
        joint = perturbations()
        joint[20:] = 0
        one.update(joint)
        expected = one.state_dict()
        for key in ("moments", "mean"):
            assert torch.equal(first[name][key], second[name][key])
            torch.testing.assert_close(first[name][key], expected[key], rtol=1e-12, atol=1e-14)
        assert first[name]["updates"] == 2
    penalty = StructuredPenalty(strength=1.0, covariance=RunningCovariance(), source="fgsm")
    whole = penalty(smooth(), IMAGES, LABELS).penalty
    assert (first["penalty"] + second["penalty"]).item() / 2 == pytest.approx(
        whole.item(), rel=1e-12
    )

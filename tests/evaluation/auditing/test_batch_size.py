"""Batch sizes: what a batch keeps for its backward pass fits the budget."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.auditing import batch_size
from steadygrad.evaluation.auditing.batch_size import choose_batch_size
from steadygrad.memory import is_out_of_memory

CPU = torch.device("cpu")


def test_the_measured_bytes_are_those_of_the_activations() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Sigmoid(), nn.Flatten())
    chosen = choose_batch_size("auto", network, torch.rand(1, 1, 16, 16), CPU)
    # Sigmoid keeps its output, the convolution its input; parameters are not counted. The image
    # itself is added once more, and all of it is doubled for the gradients.
    assert chosen.image_bytes == 2 * 4 * (8 * 256 + 256 + 256)


def test_the_largest_power_of_two_within_the_budget(
    trained: nn.Module, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = digits[0]
    assert choose_batch_size("auto", trained, images, CPU).size == 256
    needed = choose_batch_size("auto", trained, images, CPU).image_bytes
    monkeypatch.setattr(batch_size, "_CPU_BYTES", 100 * needed)
    assert choose_batch_size("auto", trained, images, CPU).size == 64
    monkeypatch.setattr(batch_size, "_CPU_BYTES", 1)
    assert choose_batch_size("auto", trained, images, CPU).size == 1
    assert choose_batch_size(7, trained, images, CPU).size == 7


@pytest.mark.parametrize("asked", [0, -1, "many", True, 2.5])
def test_other_sizes_are_refused(trained: nn.Module, asked: Any) -> None:
    with pytest.raises(HyperparameterError, match="batch_size 'auto' or at least 1"):
        choose_batch_size(asked, trained, torch.rand(1, 1, 8, 8), CPU)


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))

"""The global generators, lent to a library and given back."""

import random

import numpy as np
import pytest
import torch

from steadygrad.attacks.adapters.global_randomness import seeded_from


def draws() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()


def test_all_three_follow_the_generator() -> None:
    seen = []
    for seed in (0, 0, 1):
        with seeded_from(torch.Generator().manual_seed(seed)) as number:
            seen.append((number, *draws()))
    assert seen[0] == seen[1]
    assert all(ours != others for ours, others in zip(seen[0], seen[2], strict=True))


def test_all_three_come_back_also_after_an_error() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    expected = draws()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    with pytest.raises(ZeroDivisionError), seeded_from(torch.Generator()):
        draws()
        _ = 1 / 0
    assert draws() == expected


def test_without_a_generator_the_global_one_decides() -> None:
    seeds = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            with seeded_from(None) as first:
                pass
            with seeded_from(None) as second:
                pass
            seeds.append((first, second))
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0][0] != seeds[0][1]

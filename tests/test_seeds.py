"""Laws of steadygrad.seeds."""

import torch

from steadygrad.seeds import derive_seed, derived_generator


def test_purposes_and_seeds_have_streams_of_their_own() -> None:
    seeds = {
        derive_seed(seed, purpose)
        for seed in range(20)
        for purpose in ("attack", "augmentation", "order of epoch 1", "order of epoch 11")
    }
    assert len(seeds) == 80
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_same_seed_and_purpose_draw_the_same_numbers() -> None:
    first, second = (torch.rand(5, generator=derived_generator(3, "attack")) for _ in range(2))
    assert torch.equal(first, second)
    assert derive_seed(0, "attack") == 8919039336158796299  # golden: old runs stay repeatable

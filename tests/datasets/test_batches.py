"""Laws of steadygrad.datasets.batches."""

from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadygrad.datasets import ImageDataset, batches
from steadygrad.errors import HyperparameterError


def numbered(n: int) -> ImageDataset:
    """Images that carry their own index as pixel and as label."""
    index = torch.arange(n)
    names = tuple(map(str, range(n)))
    return ImageDataset("numbered", "train", index.to(torch.uint8).view(n, 1, 1, 1), index, names)


def order(dataset: ImageDataset, batch_size: int, **arguments) -> list[list[int]]:
    found = []
    for images, labels in batches(dataset, batch_size, **arguments):
        assert images.dtype == torch.float32
        assert torch.equal((images.flatten() * 255).round().long(), labels)
        found.append(labels.tolist())
    return found


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 45), st.none() | st.integers(0, 2**40), st.data())
def test_each_example_once_and_a_resumed_epoch_goes_on(
    n: int, batch_size: int, seed: int | None, data: st.DataObject
) -> None:
    whole = order(numbered(n), batch_size, shuffle_seed=seed)
    assert sorted(chain(*whole)) == list(range(n))
    assert all(len(batch) == batch_size for batch in whole[:-1])
    start = data.draw(st.integers(0, len(whole)))
    assert order(numbered(n), batch_size, shuffle_seed=seed, start=start) == whole[start:]


def test_without_a_seed_the_order_is_the_stored_one() -> None:
    assert order(numbered(5), 2, shuffle_seed=None) == [[0, 1], [2, 3], [4]]


def test_the_seed_alone_decides_the_order() -> None:
    def flat(batch_size: int, seed: int) -> list[int]:
        return list(chain(*order(numbered(30), batch_size, shuffle_seed=seed)))

    torch.manual_seed(1)
    first = flat(4, seed=1)
    torch.manual_seed(2)
    assert flat(7, seed=1) == first
    assert flat(4, seed=2) != first


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(batches(numbered(9), 2, shuffle_seed=3))
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_that_mean_nothing_are_refused_at_the_call() -> None:
    with pytest.raises(HyperparameterError, match=r"batch_size >= 1, got 0"):
        batches(numbered(5), 0, shuffle_seed=None)
    for start in (-1, 4):
        with pytest.raises(HyperparameterError, match=rf"start from 0 to 3 batches, got {start}"):
            batches(numbered(5), 2, shuffle_seed=None, start=start)

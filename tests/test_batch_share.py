"""Shares of a batch: everything once, the first images everywhere, and nothing in one process."""

import pytest
import torch

from steadygrad.batch_share import (
    BatchShare,
    current_share,
    first_of_batch,
    mean_over_batch,
    share_of_batch,
)
from steadygrad.distributed import Ranks
from steadygrad.errors import HyperparameterError


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("total", [1, 5, 64])
def test_shares_cover_a_batch_and_its_first_images_once(count: int, total: int) -> None:
    whole = torch.arange(total)
    shares = [BatchShare(Ranks(rank, count), total) for rank in range(count)]
    assert sorted(torch.cat([s.own(whole)[: s.size] for s in shares]).tolist()) == whole.tolist()
    assert sum(share.weight for share in shares) == pytest.approx(1)
    for first in range(1, total + 1):
        parts = [share.own(whole)[: share.first(first).size] for share in shares]
        assert sorted(torch.cat(parts).tolist()) == list(range(first))


def test_a_process_without_an_image_computes_with_the_first_one() -> None:
    share = BatchShare(Ranks(2, 3), 2)
    assert (share.size, share.weight) == (0, 0)
    assert share.own(torch.tensor([7, 8])).tolist() == [7]
    assert share.own(torch.tensor([[7, 8]]), axis=1).tolist() == [[7]]


def test_a_share_is_declared_inside_its_block_alone() -> None:
    share = BatchShare(Ranks(1, 2), 8)
    assert current_share() is None
    with share_of_batch(share):
        assert current_share() == share
        with first_of_batch(3) as own:
            assert own == 1 and current_share() == share.first(3)
        with first_of_batch(1) as own:
            assert own == 1
            assert share.first(1).size == 0
        assert current_share() == share
    assert current_share() is None


def test_one_process_declares_nothing() -> None:
    whole = torch.rand(4)
    share = BatchShare(Ranks(0, 1), 4)
    assert share.own(whole) is whole
    with share_of_batch(share):
        assert current_share() is None
    with first_of_batch(3) as own:
        assert own == 3
    assert mean_over_batch(whole) == whole.mean()


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="a batch of at least 1 image, got 0"):
        BatchShare(Ranks(0, 2), 0)

"""Laws of steadygrad.datasets.splitting."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadygrad.datasets.splitting import stratified_split


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_parts_are_disjoint_exhaustive_and_in_proportion(
    labels: list[int], data: st.DataObject
) -> None:
    held_out = data.draw(st.integers(0, len(labels)))
    tensor = torch.tensor(labels)
    rest, chosen = stratified_split(tensor, held_out, seed=3)
    assert len(chosen) == held_out
    assert sorted(rest.tolist() + chosen.tolist()) == list(range(len(labels)))
    for part in (rest.tolist(), chosen.tolist()):
        assert part == sorted(part)
    for label in set(labels):
        fair = held_out * labels.count(label) / len(labels)
        assert abs(int((tensor[chosen] == label).sum()) - fair) < 1


def test_the_seed_decides_which_and_nothing_else_does() -> None:
    labels = torch.arange(200) % 4
    first, again = stratified_split(labels, 40, seed=1)[1], stratified_split(labels, 40, seed=1)[1]
    assert torch.equal(first, again)
    assert not torch.equal(first, stratified_split(labels, 40, seed=2)[1])


def test_every_example_can_be_held_out() -> None:
    labels = torch.arange(12) % 3
    seen = {int(index) for seed in range(40) for index in stratified_split(labels, 3, seed=seed)[1]}
    assert seen == set(range(12))

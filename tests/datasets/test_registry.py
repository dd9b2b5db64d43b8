"""Laws of steadygrad.datasets.registry."""

import pytest

from steadygrad.datasets import dataset_entry, dataset_names
from steadygrad.errors import UnknownNameError


def test_names_and_entries_agree() -> None:
    assert dataset_names() == ("digits", "mnist", "fashion_mnist", "cifar10", "svhn", "svhn_10k")
    for name in dataset_names():
        entry = dataset_entry(name)
        assert entry.name == name
        assert entry.num_classes == 10
        assert (entry.hub_id is None) == (entry.hub_folder is None)


def test_the_partial_svhn_says_that_it_is_not_svhn() -> None:
    assert "not comparable" in dataset_entry("svhn_10k").note
    assert dataset_entry("svhn_10k").hub_id is None


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'minst'; choose from digits, mnist, .*svhn_10k"):
        dataset_entry("minst")

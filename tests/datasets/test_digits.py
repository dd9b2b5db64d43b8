"""Laws of the embedded digits."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from steadygrad.datasets import load_dataset

GOLDEN_PLACES = [3, 7, 13, 19, 36, 38, 43, 48]
"""The first test images by their place in scikit-learn's order, pasted from a run: no library's
version may move images between training and testing."""


def test_sizes_range_and_shape() -> None:
    train, test = load_dataset("digits", "train"), load_dataset("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        assert part.input_shape == (1, 8, 8)
        assert part.pixels.dtype == torch.float32
        assert part.images().aminmax() == (0.0, 1.0)


def test_both_parts_together_are_scikit_learns_images() -> None:
    bunch = load_digits()
    parts = [load_dataset("digits", split) for split in ("train", "test")]
    pixels = torch.cat([part.pixels for part in parts]).flatten(1).numpy()
    labels = torch.cat([part.labels for part in parts]).numpy()
    ours = sorted(map(tuple, np.column_stack([labels, pixels * 16])))
    theirs = sorted(map(tuple, np.column_stack([bunch.target, bunch.images.reshape(-1, 64)])))
    assert ours == theirs


def test_every_class_is_split_in_proportion() -> None:
    train, test = load_dataset("digits", "train"), load_dataset("digits", "test")
    in_test = torch.bincount(test.labels)
    fair = 360 * (torch.bincount(train.labels) + in_test) / 1797
    assert (in_test - fair).abs().max() < 1


def test_the_split_is_the_same_for_everybody() -> None:
    stored = torch.from_numpy(load_digits().images).float() / 16
    test = load_dataset("digits", "test").pixels[:8, 0]
    places = [int((stored == image).all(dim=(1, 2)).nonzero()[0]) for image in test]
    assert places == GOLDEN_PLACES

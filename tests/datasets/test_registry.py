"""Laws of steadygrad.datasets.registry: the named sets and their preparation."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from steadygrad.datasets import centre_luminance, dataset_entry, dataset_names, load_dataset
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
    with pytest.raises(UnknownNameError, match=r"'minst' .*'mnist'.* digits, .*svhn_10k"):
        dataset_entry("minst")


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


def reference(image: np.ndarray) -> np.ndarray:
    """One image (3, 32, 32) by the formula, in double precision."""
    red, green, blue = image[:, 2:30, 2:30].astype(np.float64)
    grey = 0.2989 * red + 0.5870 * green + 0.1140 * blue
    return (grey - grey.min()) / (grey.max() - grey.min())


def test_agrees_with_the_formula(pixels) -> None:
    images = pixels(5, 3, 32, 32)
    result = centre_luminance(torch.from_numpy(images))
    assert result.shape == (5, 1, 28, 28)
    for ours, image in zip(result, images, strict=True):
        np.testing.assert_allclose(ours[0].numpy(), reference(image), atol=2e-6)


def test_every_image_is_stretched_to_the_whole_range(pixels) -> None:
    result = centre_luminance(torch.from_numpy(pixels(4, 3, 32, 32) // 4 + 60))
    assert torch.equal(result.amin(dim=(1, 2, 3)), torch.zeros(4))
    assert torch.equal(result.amax(dim=(1, 2, 3)), torch.ones(4))


def test_the_border_plays_no_part(pixels) -> None:
    images = torch.from_numpy(pixels(2, 3, 32, 32))
    changed = images.clone()
    changed[:, :, :2], changed[:, :, 30:], changed[..., :2], changed[..., 30:] = 0, 255, 7, 9
    assert torch.equal(centre_luminance(images), centre_luminance(changed))


def test_a_constant_image_is_black_and_the_faintest_contrast_is_not() -> None:
    images = torch.full((2, 3, 32, 32), 137, dtype=torch.uint8)
    images[1, 2, 10, 10] += 1
    result = centre_luminance(images)
    assert torch.equal(result[0], torch.zeros(1, 28, 28))
    assert result[1].sum() == result[1, 0, 8, 8] == 1

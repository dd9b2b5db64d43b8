"""The real sets: their sizes, their statistics, and SVHN's preprocessing by an own formula."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from steadygrad.datasets import load_dataset

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("mnist", 0.1307, 0.3081), ("fashion_mnist", 0.2860, 0.3530)]
)
def test_sizes_and_statistics_of_the_training_set(real_data, name, mean, deviation) -> None:
    train = load_dataset(name, "train", data_dir=real_data, cache=False)
    assert len(train) == 60_000
    assert train.pixels.dtype == torch.uint8
    pixels = train.pixels.double() / 255
    assert round(pixels.mean().item(), 4) == mean
    assert round(pixels.std().item(), 4) == deviation
    assert train.note == ""


def test_cifar10_test_set(real_data) -> None:
    test = load_dataset("cifar10", "test", data_dir=real_data, cache=False)
    assert test.pixels.shape == (10_000, 3, 32, 32)
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert test.class_names[test.labels[0]] == "cat"


def test_partial_svhn_against_the_formula(real_data) -> None:
    dataset = load_dataset("svhn_10k", "test", data_dir=real_data, cache=False)
    assert len(dataset) == 2011
    assert "not comparable" in dataset.note
    table = parquet.read_table(real_data / "svhn_10k" / "test-00000-of-00001.parquet")
    assert dataset.labels.tolist() == table["label"].to_pylist()
    for index in range(0, 2011, 67):
        encoded = table["image"][index]["bytes"].as_py()
        image = np.asarray(Image.open(io.BytesIO(encoded)), dtype=np.float64)[2:-2, 2:-2]
        grey = image @ np.array([0.2989, 0.5870, 0.1140])
        expected = (grey - grey.min()) / (grey.max() - grey.min())
        np.testing.assert_allclose(dataset.pixels[index, 0].numpy(), expected, atol=1e-5)


def test_partial_svhn_training_part(real_data) -> None:
    dataset = load_dataset("svhn_10k", "train", data_dir=real_data)
    assert len(dataset) == 7989
    assert dataset.images().aminmax() == (0.0, 1.0)

"""Laws of steadygrad.datasets.image_dataset."""

from dataclasses import replace

import pytest
import torch

from steadygrad.datasets import ImageDataset, batches
from steadygrad.errors import DatasetError, HyperparameterError


@pytest.fixture
def dataset() -> ImageDataset:
    pixels = torch.arange(6 * 3 * 2 * 4, dtype=torch.uint8).view(6, 3, 2, 4)
    return ImageDataset(
        "made-up", "train", pixels, torch.tensor([0, 1, 2, 0, 1, 2]), ("a", "b", "c")
    )


def test_says_its_size_and_shape(dataset: ImageDataset) -> None:
    assert len(dataset) == 6
    assert dataset.input_shape == (3, 2, 4)
    assert dataset.num_classes == 3


def test_bytes_become_fractions_of_255(dataset: ImageDataset) -> None:
    images = dataset.images()
    assert images.dtype == torch.float32
    torch.testing.assert_close(images.flatten()[-1].item(), 143 / 255)
    assert torch.equal(dataset.images(torch.tensor([4, 1])), images[[4, 1]])
    assert torch.equal(dataset.images(slice(2, 4)), images[2:4])


def test_fractions_stay_as_they_are(dataset: ImageDataset) -> None:
    fractions = replace(dataset, pixels=dataset.images())
    assert torch.equal(fractions.images(slice(3)), dataset.images(slice(3)))


def test_bytes_stay_bytes_on_the_device(dataset: ImageDataset) -> None:
    moved = dataset.to("cpu")
    assert moved.pixels.dtype == torch.uint8
    assert torch.equal(moved.labels, dataset.labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_cuts_the_same_batches(dataset: ImageDataset) -> None:
    moved = dataset.to("cuda")
    assert moved.pixels.dtype == torch.uint8
    pairs = zip(batches(moved, 4, shuffle_seed=1), batches(dataset, 4, shuffle_seed=1), strict=True)
    for (images, labels), (expected_images, expected_labels) in pairs:
        assert images.device.type == labels.device.type == "cuda"
        assert torch.equal(images.cpu(), expected_images)
        assert torch.equal(labels.cpu(), expected_labels)


def test_first_and_subset_keep_pixels_and_labels_together(dataset: ImageDataset) -> None:
    assert torch.equal(dataset.first(2).labels, torch.tensor([0, 1]))
    assert len(dataset.first(100)) == 6
    chosen = dataset.subset(torch.tensor([5, 0]))
    assert torch.equal(chosen.labels, torch.tensor([2, 0]))
    assert torch.equal(chosen.pixels, dataset.pixels[[5, 0]])
    assert chosen.num_classes == 3


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_class_is_refused(dataset: ImageDataset, label: int) -> None:
    labels = dataset.labels.clone()
    labels[4] = label
    with pytest.raises(DatasetError, match=rf"labels from 0 to 2 in the train .*got {label} at in"):
        replace(dataset, labels=labels)


def test_what_does_not_fit_together_is_refused(dataset: ImageDataset) -> None:
    with pytest.raises(DatasetError, match=r"expected 6 int64 labels.*shape \(5,\)"):
        replace(dataset, labels=dataset.labels[:5])
    with pytest.raises(DatasetError, match=r"int64 labels.*torch\.int32"):
        replace(dataset, labels=dataset.labels.int())
    with pytest.raises(DatasetError, match=r"uint8 or float32 pixels.*torch\.float64"):
        replace(dataset, pixels=dataset.pixels.double())
    with pytest.raises(DatasetError, match=r"\(N, channels, height, width\).*\(0, 3, 2, 4\)"):
        dataset.subset(slice(0))
    with pytest.raises(HyperparameterError, match=r"at least 1 image, got 0"):
        dataset.first(0)

"""Laws of steadygrad.datasets.image_dataset."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steadygrad.datasets import ImageDataset, batches, stratified_split
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


def test_a_grey_split_can_be_shown_to_a_network_of_colours(dataset: ImageDataset) -> None:
    grey = replace(dataset, pixels=dataset.pixels[:, :1])
    colour = grey.with_channels(3)
    assert colour.input_shape == (3, 2, 4)
    assert all(torch.equal(colour.pixels[:, [c]], grey.pixels) for c in range(3))
    assert grey.with_channels(1).input_shape == (1, 2, 4)
    assert dataset.with_channels(1) is dataset


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

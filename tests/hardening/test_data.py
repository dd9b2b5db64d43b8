"""What may be given as the images of a hardening."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import DatasetError, HyperparameterError
from steadygrad.hardening import harden
from steadygrad.hardening.data import HardeningData
from steadygrad.training import LoaderImages

SETTINGS: dict[str, Any] = {"image_size": None, "num_classes": 10, "batch_size": 64}


def test_a_torch_data_set_is_read_like_a_loader_of_it(
    digits: ImageDataset, held_out: ImageDataset
) -> None:
    examples = [TensorDataset(each.images(), each.labels) for each in (digits, held_out)]
    ours = HardeningData.of(*examples, **SETTINGS)
    loaders = (DataLoader(examples[0], 64, shuffle=True), DataLoader(examples[1], 64))
    theirs = HardeningData.of(*loaders, **SETTINGS)
    for one, other in zip(ours.train.batches(3), theirs.train.batches(3), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    told = ours.reported(50)
    assert told is not None and torch.equal(told.labels, held_out.labels[:50])
    assert len(ours.train) == len(digits)
    with pytest.raises(DatasetError, match=r"number of classes of TensorDataset \(num_classes="):
        HardeningData.of(*examples, **SETTINGS | {"num_classes": None})


def test_images_in_double_and_short_labels_are_read_in_the_kinds_that_training_has(
    digits: ImageDataset,
) -> None:
    examples = TensorDataset(digits.images().double(), digits.labels.int())
    for images, labels in HardeningData.of(examples, None, **SETTINGS).train.batches(0):
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(("wanted", "held"), [(None, 143), (30, 30), ("30", 30), (0, None)])
def test_of_a_named_set_as_many_images_are_held_out_as_asked(wanted: Any, held: int | None) -> None:
    sets = HardeningData.of("digits", None, **SETTINGS, held_out=wanted)
    assert sets.settings["validation_size"] == (held or 0)
    assert (None if sets.validation is None else len(sets.validation)) == held
    assert len(sets.train) == len(load_dataset("digits", "train")) - (held or 0)


@pytest.mark.parametrize("size", [0, "many"])
def test_a_batch_size_that_means_nothing_is_refused(digits: ImageDataset, size: Any) -> None:
    examples = TensorDataset(digits.images(), digits.labels)
    with pytest.raises(HyperparameterError, match=f"expected batch_size >= 1, got {size!r}"):
        HardeningData.of(examples, None, **SETTINGS | {"batch_size": size})


class Examples(Dataset[Any]):
    """Gives examples in another form than pairs."""

    def __init__(self, images: ImageDataset, form: Callable[[Tensor, Tensor], Any]) -> None:
        self.pairs, self.form = TensorDataset(images.images(), images.labels), form

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        return self.form(*self.pairs[index])


@pytest.mark.parametrize(
    "form",
    [
        lambda image, label: (image, label, {"path": object()}),
        lambda image, label: {"image": image, "label": label, "path": object()},
    ],
)
def test_examples_may_be_mappings_or_hold_more_than_image_and_label(
    digits: ImageDataset, form: Callable[[Tensor, Tensor], Any]
) -> None:
    ours = HardeningData.of(Examples(digits, form), None, **SETTINGS)
    theirs = HardeningData.of(TensorDataset(digits.images(), digits.labels), None, **SETTINGS)
    for one, other in zip(ours.train.batches(3), theirs.train.batches(3), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_a_last_batch_of_one_image_is_trained_on(digits: ImageDataset, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    data = TensorDataset(digits.images()[:65], digits.labels[:65])
    out = tmp_path / "out"
    settings: dict[str, Any] = {"num_classes": 10, "batch_norm": "learn", "device": "cpu"}
    done = harden(network, data, eps=0.1, epochs=2, audited=False, out=out, **settings)
    assert done.is_finished
    lines = (out / "run" / "metrics.jsonl").read_text().splitlines()
    assert [(line["steps"], line["images"]) for line in map(json.loads, lines)] == [(1, 65)] * 2


class Pictures(Dataset[Any]):
    """Gives examples as a data set without a transform does."""

    def __init__(self, example: Any) -> None:
        self.example = example

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return self.example


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Pictures(("a picture", 0)), r"images as tensors, got str; give it a transform"),
        (Pictures(torch.zeros(1, 8, 8)), r"pairs \(image, label\) from Pictures.* got Tensor"),
        (TensorDataset(torch.zeros(0, 1, 8, 8), torch.zeros(0)), "images in TensorDataset, got no"),
        (torch.zeros(4, 1, 8, 8), r"expected \w+ images as the name.*, got Tensor"),
        (7, r"expected \w+ images as the name.*, got int"),
    ],
)
def test_what_is_no_data_is_refused_in_a_sentence(
    digits: ImageDataset, given: Any, sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        HardeningData.of(given, None, **SETTINGS)
    with pytest.raises(DatasetError, match=sentence):
        HardeningData.of(digits, given, **SETTINGS)


class Refilling:
    """A loader of one memory for all of its batches."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images) // 4

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        images, labels = torch.empty_like(self.images[:4]), torch.empty_like(self.labels[:4])
        for start in range(0, len(self.images), 4):
            images.copy_(self.images[start : start + 4])
            labels.copy_(self.labels[start : start + 4])
            yield images, labels


def test_a_loader_that_fills_the_same_memory_again_is_collected_whole(digits: ImageDataset) -> None:
    images, labels = digits.images()[:12], digits.labels[:12]
    held = LoaderImages(Refilling(images, labels), 10).collected(10)
    assert torch.equal(held.images(), images[:10]) and torch.equal(held.labels, labels[:10])

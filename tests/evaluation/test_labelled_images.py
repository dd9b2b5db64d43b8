"""Images and labels in every form give the same tensors, audits and curves."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from steadygrad.attacks import PGD
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import ImageError, LabelError
from steadygrad.evaluation import accuracy_curve, audit, bisected_curve
from steadygrad.evaluation.labelled_images import labelled_images


@pytest.fixture
def test_set() -> ImageDataset:
    return load_dataset("digits", "test", limit=30)


class OneByOne(IterableDataset[tuple[Tensor, Tensor]]):
    """Pairs of an image and its label that come one after the other."""

    def __init__(self, pairs: TensorDataset) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from self.pairs


def forms(data: ImageDataset) -> list[object]:
    pairs = TensorDataset(data.images(), data.labels)
    loader = DataLoader(pairs, batch_size=7)
    return [data, pairs, list(pairs), OneByOne(pairs), loader, list(loader)]


def test_every_form_gives_the_same_tensors(test_set: ImageDataset) -> None:
    for form in forms(test_set):
        images, labels = labelled_images(form, None)
        assert torch.equal(images, test_set.images()) and torch.equal(labels, test_set.labels)


def test_audits_and_curves_take_them(trained: nn.Module, test_set: ImageDataset) -> None:
    settings = {"eps": 0.1, "budget": None, "attacks": ["pgd:steps=3"], "diagnostics": False}
    expected = audit(trained, test_set.images(), test_set.labels, **settings)
    curve = accuracy_curve(
        trained, test_set.images(), test_set.labels, PGD(eps=0, steps=3), (0, 0.1)
    )
    for form in forms(test_set):
        result = audit(trained, form, **settings)
        assert torch.equal(result.outcomes[0].broken, expected.outcomes[0].broken)
        for search in (accuracy_curve, bisected_curve):
            found = search(trained, form, None, PGD(eps=0, steps=3), (0, 0.1))
            assert found.points == curve.points
    assert audit(trained, test_set, **settings).data["name"] == "digits"


@pytest.mark.parametrize(
    ("source", "labels", "error", "sentence"),
    [
        (torch.rand(2, 1, 4, 4), None, LabelError, "labels beside a tensor of images, got none"),
        ([(torch.rand(2, 1, 4, 4), [0, 1])], torch.zeros(2), LabelError, "which has its own"),
        ([], None, ImageError, "at least one image, got none"),
        ([torch.rand(2, 1, 4, 4)], None, ImageError, "pairs of images and labels"),
        ([("image", 1)], None, ImageError, "images as tensors, got str"),
    ],
)
def test_what_holds_no_images_and_labels_is_refused(
    source: object, labels: Tensor | None, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        labelled_images(source, labels)

"""Which batches and examples hold images and labels, the same for trainings and audits."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from steadygrad.batch_pair import pair_kind, pair_of
from steadygrad.errors import DatasetError, ImageError
from steadygrad.evaluation.labelled_images import labelled_rows
from steadygrad.training.given_data import LoaderImages

IMAGES, LABELS = torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
SHAPES: dict[str, Any] = {
    "pair": lambda image, label: (image, label),
    "more": lambda image, label: (image, label, 7, {"path": "a.png"}),
    "transformers": lambda image, label: {"pixel_values": image, "labels": label},
    "hub": lambda image, label: {"label": label, "image": image, "id": 3},
    "plural": lambda image, label: {"images": image, "labels": label},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_audits_and_trainings_take_the_same_batches(shape: str) -> None:
    rows = [SHAPES[shape](image, label) for image, label in zip(IMAGES, LABELS, strict=True)]
    loader = DataLoader(rows, 4)  # type: ignore[arg-type] # a list is a data set for torch
    for source in (rows, loader):
        images, labels = labelled_rows(source, None)
        assert torch.equal(torch.as_tensor(images[:]), IMAGES) and torch.equal(labels, LABELS)
    given = LoaderImages(loader, num_classes=3)
    torch.testing.assert_close(torch.cat([images for images, _ in given.batches(0)]), IMAGES)
    assert torch.equal(torch.cat([labels for _, labels in given.batches(0)]), LABELS)


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        (torch.rand(2), "Tensor"),
        ([torch.rand(2)], "a list of 1 (Tensor)"),
        ((), "a tuple of 0"),
        ({"image": torch.rand(2)}, "a mapping with image"),
        ({}, "a mapping with nothing"),
    ],
)
def test_others_are_refused_by_what_they_are(batch: Any, kind: str) -> None:
    assert pair_of(batch) is None
    assert pair_kind(batch) == kind
    with pytest.raises(ImageError) as of_audit:
        labelled_rows([batch], None)
    with pytest.raises(DatasetError) as of_training:
        LoaderImages([batch], num_classes=3)
    assert kind in str(of_audit.value) and kind in str(of_training.value)


def test_an_image_without_a_tensor_is_refused() -> None:
    unread: tuple[str, Tensor] = ("a.png", torch.tensor(0))
    with pytest.raises(DatasetError, match=r"got a tuple of 2 \(str, Tensor\)"):
        LoaderImages([unread], num_classes=3)

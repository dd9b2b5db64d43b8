"""Large sets of images: read when they are asked for, and the same to the bit."""

import json
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import ImageDataset
from steadygrad.errors import ImageError, OutputError
from steadygrad.evaluation import image_rows
from steadygrad.evaluation.auditing import UnfitError, audit
from steadygrad.evaluation.image_rows import ImageRows, joined, rows_of_dataset
from steadygrad.evaluation.labelled_images import labelled_images, labelled_rows
from steadygrad.evaluation.provenance import tensors_digest

Data = tuple[Tensor, Tensor]


@pytest.fixture
def nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_rows, "MOST_BYTES", 0)


def batches(images: Tensor, size: int = 4) -> Iterator[Data]:
    labels = torch.arange(len(images))
    return zip(images.split(size), labels.split(size), strict=True)


@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize(
    "images",
    [
        torch.randint(0, 256, (10, 3, 5, 4), dtype=torch.uint8) / 255,
        torch.rand(10, 1, 4, 4),
        torch.cat((torch.randint(0, 256, (6, 1, 4, 4)) / 255, torch.rand(4, 1, 4, 4))),
        torch.rand(10, 1, 4, 4, dtype=torch.float64),
    ],
    ids=["bytes", "float", "mixed", "double"],
)
def test_what_is_read_is_what_was_given_to_the_bit(images: Tensor) -> None:
    rows, labels = joined(batches(images))
    assert isinstance(rows, ImageRows)
    assert labels.tolist() == list(range(10))
    assert rows.shape == images.shape and rows.dtype == images.dtype and len(rows) == 10
    assert torch.equal(rows[:], images)
    assert torch.equal(rows[2:5], images[2:5])
    places = torch.tensor([7, 1, 1])
    assert torch.equal(rows[places], images[places])
    assert rows[:0].shape == images[:0].shape
    assert tuple(rows.extremes.flatten().tolist()) == tuple(
        bound.item() for bound in images.aminmax()
    )
    assert tensors_digest({"images": rows}) == tensors_digest({"images": images})


def test_a_small_set_stays_in_memory() -> None:
    images = torch.rand(10, 1, 4, 4)
    rows, _ = joined(batches(images))
    assert isinstance(rows, Tensor) and torch.equal(rows, images)


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_a_loader_may_fill_the_same_memory_again(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_rows, "MOST_BYTES", most)
    images, labels = torch.rand(12, 1, 4, 4), torch.arange(12)

    def refilled() -> Iterator[Data]:
        held, named = torch.empty(4, 1, 4, 4), torch.empty(4, dtype=torch.int64)
        for start in range(0, 12, 4):
            held.copy_(images[start : start + 4])
            named.copy_(labels[start : start + 4])
            yield held, named

    found, found_labels = labelled_images(refilled(), None)
    assert torch.equal(found, images) and torch.equal(found_labels, labels)


def test_whole_255ths_take_a_byte_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_rows, "MOST_BYTES", 0)
    files = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: files.append(make()) or files[0])
    rows, _ = joined(batches(torch.randint(0, 256, (10, 3, 5, 4)) / 255))
    assert len(rows) == 10
    assert files[0].tell() == 600


def test_one_batch_at_a_time_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, no batch is kept: a new one comes when the one before is gone."""
    monkeypatch.setattr(image_rows, "MOST_BYTES", 3 * 4 * 16 * 4)  # three batches of four
    alive, most = 0, []

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def made() -> Iterator[Data]:
        nonlocal alive
        for _ in range(12):
            batch = torch.rand(4, 1, 4, 4)
            weakref.finalize(batch, gone)
            alive += 1
            most.append(alive)
            yield batch, torch.zeros(4, dtype=torch.int64)
            del batch

    joined(made())
    assert max(most) <= 5
    assert max(most[6:]) <= 2


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_data_set_stays_bytes_until_it_is_read() -> None:
    pixels = torch.randint(0, 256, (10, 1, 4, 4), dtype=torch.uint8)
    labels = torch.arange(10) % 2
    dataset = ImageDataset("made", "test", pixels, labels, ("a", "b"))
    rows = rows_of_dataset(dataset)
    assert isinstance(rows, ImageRows)
    assert torch.equal(rows[:], dataset.images())
    assert torch.equal(labelled_images(dataset, None)[0], dataset.images())


@pytest.mark.usefixtures("nothing_in_memory")
def test_images_that_differ_in_size_or_dtype_are_refused() -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    for other in (torch.rand(2, 1, 4, 5), torch.rand(2, 1, 4, 4).double()):
        with pytest.raises(ImageError, match=r"expected all images of torch\.float32 and shape"):
            joined([(torch.rand(2, 1, 4, 4), labels), (other, labels)])
    with pytest.raises(ImageError, match="at least one image"):
        joined([])


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def close(self) -> None: ...

        def tell(self) -> int:
            return 0

        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(OutputError, match="No space left on device; set TMPDIR"):
        joined(batches(torch.rand(4, 1, 4, 4)))


@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize("form", ["loader", "dataset", "image dataset"])
def test_an_audit_of_rows_is_the_audit_of_the_tensor(
    form: str, trained: nn.Module, held_out: Data, tmp_path: Path
) -> None:
    images, labels = held_out[0][:20], held_out[1][:20]
    pairs = TensorDataset(images, labels)
    source = {
        "loader": DataLoader(pairs, batch_size=6),
        "dataset": pairs,
        "image dataset": ImageDataset(
            "digits", "test", (255 * images).round().to(torch.uint8), labels, tuple("0123456789")
        ),
    }[form]
    rows = labelled_rows(source, None)[0]
    assert isinstance(rows, ImageRows)
    settings = {
        "eps": 0.1,
        "budget": None,
        "attacks": ["pgd:steps=5,loss=margin", "fgsm"],
        "out": tmp_path,
    }
    streamed = audit(trained, source, **settings)
    whole = audit(trained, rows[:], labels, **(settings | {"out": None}))
    first, second = json.loads(json.dumps([streamed.to_json(), whole.to_json()]))
    for record in (first, second):
        record["seconds"] = record["created"] = record["data"] = None
        for attack in record["attacks"]:
            attack["seconds"] = None
    assert first == second
    assert streamed.data["digest"] == whole.data["digest"]
    assert streamed.gallery is not None and whole.gallery is not None
    assert torch.equal(streamed.gallery.clean, whole.gallery.clean)


@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize("value", [2.0, float("nan")])
def test_bad_pixels_anywhere_are_refused(value: float, trained: nn.Module) -> None:
    images = torch.rand(12, 1, 8, 8)
    images[9, 0, 3, 3] = value
    source = [(part, torch.zeros(4, dtype=torch.int64)) for part in images.split(4)]
    with pytest.raises(UnfitError, match="pixel"):
        audit(trained, source, eps=0.1, budget="quick")

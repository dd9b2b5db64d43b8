"""Laws of steadygrad.datasets.sources: data sets as parts, and paths in their place."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from steadygrad.datasets import DATA_SOURCES, ImageDataset, data_source, image_loader, load_dataset
from steadygrad.datasets.registry import MNIST, Digits
from steadygrad.datasets.sources import FolderImages, HubImages, ParquetImages
from steadygrad.errors import DatasetError, HyperparameterError, UnknownNameError

FORMS = [
    ("digits", Digits()),
    ("digits:limit=5", Digits(limit=5)),
    ("mnist:image_size=14,data_dir=here", MNIST(image_size=14, data_dir=Path("here"))),
    ("folder:some/birds,image_size=224", FolderImages(Path("some/birds"), image_size=224)),
    ('folder:"a, b"', FolderImages(Path("a, b"))),
    ("parquet:birds,label_column=fine", ParquetImages(Path("birds"), label_column="fine")),
    ("hub:some/birds,config=small,limit=3", HubImages("some/birds", config="small", limit=3)),
]


@pytest.mark.parametrize(("text", "source"), FORMS)
def test_text_table_and_object_are_the_same(text, source) -> None:
    assert DATA_SOURCES.parse(text) == source
    assert DATA_SOURCES.parse(DATA_SOURCES.text(source)) == source
    assert DATA_SOURCES.build(DATA_SOURCES.table(source)) == source
    assert data_source(source) is source


@pytest.mark.parametrize("settings", ["", ",image_size=3,limit=2"])
def test_a_path_is_a_folder_or_parquet(
    tmp_path, write_image_folder, write_parquet, png, pixels, monkeypatch, settings
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image_folder(tmp_path / "my birds", {"train": {"owl": 3}})
    write_parquet(tmp_path / "table" / "data" / "train.parquet", [png(pixels(4, 4))] * 3, [0] * 3)
    more = {"image_size": 3, "limit": 2} if settings else {}
    assert data_source(f"my birds{settings}") == FolderImages(Path("my birds"), **more)
    assert DATA_SOURCES.parse(f"./table{settings}") == ParquetImages(Path("table"), **more)
    assert len(load_dataset(f"{tmp_path}/table{settings}")) == (2 if settings else 3)


def test_the_data_folder_is_the_call_or_the_parts(mnist_like) -> None:
    own = f"mnist:data_dir={mnist_like[0]},limit=6"
    assert len(load_dataset(own)) == 6
    assert len(load_dataset(own, limit=4)) == 4
    assert len(load_dataset(own, limit=9)) == 6
    with pytest.raises(DatasetError, match="nowhere does not exist; give --data-dir"):
        load_dataset(own, data_dir="nowhere")
    # The division is one of the limited set.
    assert len(load_dataset(own, "train", validation_size=2)) == 4


def test_a_default_data_folder_is_for_a_set_that_has_none(tmp_path) -> None:
    default, other = tmp_path / "default", tmp_path / "other"
    assert data_source("mnist", default_dir=default).data_dir == default
    assert data_source("mnist", other, default_dir=default).data_dir == other
    assert data_source(f"mnist:data_dir={other}", default_dir=default).data_dir == other
    assert data_source("digits", default_dir=default) == data_source("digits")


def test_a_data_folder_is_kept_for_calls_from_elsewhere(mnist_like, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(mnist_like[0].parent)
    kept = data_source("mnist:limit=3", mnist_like[0].name)
    as_written = data_source(f"mnist:limit=3,data_dir={mnist_like[0].name}")
    assert len(load_dataset(kept)) == len(load_dataset(as_written)) == 3
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert len(load_dataset(kept)) == 3
    with pytest.raises(DatasetError, match=f"does not exist in {elsewhere}; give --data-dir"):
        load_dataset(as_written)


def test_image_size_scales_and_crops_a_named_set(mnist_like) -> None:
    dataset = load_dataset("mnist", data_dir=mnist_like[0], image_size=14)
    assert dataset.input_shape == (1, 14, 14)
    assert load_dataset(f"mnist:image_size=14,data_dir={mnist_like[0]}").pixels.equal(
        dataset.pixels
    )
    with pytest.raises(HyperparameterError, match="svhn_10k is prepared at 28x28 and takes no"):
        load_dataset("svhn_10k", data_dir=mnist_like[0], image_size=14)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("minst", UnknownNameError, "did you mean 'mnist'"),
        ("mnist:limt=3", HyperparameterError, "did you mean 'limit'"),
        ("mnist:limit=0", HyperparameterError, "a limit of at least 1 image, got 0"),
        ("folder", HyperparameterError, "folder needs a value for path"),
        ("cifar10:image_size=0", HyperparameterError, "image_size >= 1 pixel, got 0"),
        ("some/where", DatasetError, "expected a folder of images at some/where, got none"),
    ],
)
def test_what_is_no_set_is_refused(text, kind, message) -> None:
    with pytest.raises(kind, match=message):
        load_dataset(text)


@dataclass(frozen=True, kw_only=True)
class Stripes:
    """A set of one's own: a part in a few lines."""

    width: int = 2

    @property
    def title(self) -> str:
        return "bars"

    def load(self, split: str, *, cache: bool = True) -> ImageDataset:
        pixels = (torch.arange(8) // self.width % 2).float().expand(6, 1, 8, 8)
        return ImageDataset(self.title, split, pixels, torch.arange(6) % 2, ("a", "b"))

    def table(self, split: str, *, streaming: bool = False) -> None:
        return None


def test_a_set_of_ones_own_is_used_like_the_others(monkeypatch) -> None:
    families = ("_classes", "_names", "_about")
    for name in families:
        monkeypatch.setattr(DATA_SOURCES, name, dict(getattr(DATA_SOURCES, name)))
    DATA_SOURCES.register("bars")(Stripes)
    assert load_dataset("bars:width=4", "test", limit=3).labels.tolist() == [0, 1, 0]
    loader = image_loader("bars", batch_size=4, validation_size=2)
    assert [len(labels) for _, labels in loader] == [4]
    with pytest.raises(HyperparameterError, match="bars takes no image_size, got 4"):
        load_dataset("bars", image_size=4)

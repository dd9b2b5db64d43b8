"""Laws of steadygrad.datasets.image_folder, through load_dataset and on made-up files."""

import pytest
import torch
from PIL import Image

from steadygrad.datasets import load_dataset
from steadygrad.errors import DatasetError


@pytest.fixture
def folder(tmp_path, write_image_folder):
    contents = {"train": {"crow": 1, "owl": 3, "wren": 2}, "test": {"owl": 1, "wren": 1}}
    return write_image_folder(tmp_path / "birds", contents)


@pytest.mark.parametrize("prefix", ["", "folder:"])
def test_classes_come_in_turns(folder, pixels, prefix) -> None:
    train = load_dataset(f"{prefix}{folder}", "train")
    assert train.name == "birds"
    assert train.class_names == ("crow", "owl", "wren")
    assert train.labels.tolist() == [0, 1, 2, 1, 2, 1]
    numbers = [0, 0, 0, 1, 1, 2]
    expected = torch.stack([torch.from_numpy(pixels(6, 5, seed=number)) for number in numbers])
    assert torch.equal(train.pixels[:, 0], expected)


def test_a_class_that_test_lacks_keeps_its_index(folder) -> None:
    test = load_dataset(str(folder), "test")
    assert test.labels.tolist() == [1, 2]
    assert test.num_classes == 3


def test_other_files_are_left_alone(folder) -> None:
    (folder / "train" / "owl" / "Thumbs.db").write_bytes(b"x")
    (folder / "train" / "owl" / ".hidden.png").write_bytes(b"x")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "notes.txt").write_text("x")
    assert len(load_dataset(str(folder), "train")) == 6


def test_validation_may_be_called_val(folder) -> None:
    (folder / "test").rename(folder / "val")
    assert len(load_dataset(str(folder), "validation")) == 2


def test_palette_and_transparency_become_rgb(tmp_path, pixels) -> None:
    place = tmp_path / "train" / "a"
    place.mkdir(parents=True)
    image = Image.fromarray(pixels(6, 5, 3) // 64 * 64)
    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(place / "0.png")
    image.convert("RGBA").save(place / "1.PNG")
    dataset = load_dataset(str(tmp_path), "train")
    assert dataset.input_shape == (3, 6, 5)
    assert torch.equal(dataset.pixels[0], dataset.pixels[1])


def refusal(folder, split="train") -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"folder:{folder}", split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_splits_classes_or_images_is_refused(tmp_path) -> None:
    assert "expected train/<class>/<image> and test/<class>/<image> in" in refusal(tmp_path)
    (tmp_path / "train").mkdir()
    assert "a folder for each class" in refusal(tmp_path)
    (tmp_path / "train" / "owl").mkdir()
    assert "at least one image" in refusal(tmp_path)
    assert refusal(tmp_path, "test").endswith("it has train")


def test_a_class_that_only_test_has_is_refused(folder) -> None:
    (folder / "test" / "rook").mkdir()
    assert "expected the classes crow, owl, wren in" in refusal(folder, "test")
    assert refusal(folder, "test").endswith("got also rook")


def test_a_damaged_file_and_one_of_another_size_are_named(folder, png, pixels) -> None:
    (folder / "train" / "owl" / "001.png").write_bytes(b"no image")
    assert "cannot read owl/001.png of" in refusal(folder)
    (folder / "train" / "owl" / "001.png").write_bytes(png(pixels(6, 6)))
    assert "in owl/001.png, 6x6; resize them first" in refusal(folder)

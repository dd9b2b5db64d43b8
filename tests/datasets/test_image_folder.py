"""Laws of steadygrad.datasets.image_folder, through load_dataset and on made-up files."""

import shutil

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
    (folder / "test" / "owl" / "000.png").rename(folder / "test" / "rook" / "000.png")
    assert "expected the classes crow, owl, wren in" in refusal(folder, "test")
    assert refusal(folder, "test").endswith("got also rook")


def test_a_damaged_file_and_one_of_another_size_are_named(folder, png, pixels) -> None:
    (folder / "train" / "owl" / "001.png").write_bytes(b"no image")
    assert "cannot read owl/001.png of" in refusal(folder)
    (folder / "train" / "owl" / "001.png").write_bytes(png(pixels(6, 6)))
    assert "in owl/001.png, 6x6; give an image_size" in refusal(folder)


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "#recycle", "lost+found", ".thumbnails"])
def test_what_systems_leave_behind_is_no_class(folder, name) -> None:
    for place in (folder / "train" / name, folder / "train" / "owl" / name):
        shutil.copytree(folder / "train" / "wren", place)
    train = load_dataset(str(folder), "train")
    assert train.class_names == ("crow", "owl", "wren")
    assert len(train) == 6
    assert train.note == ""


def test_a_folder_without_an_image_is_no_class_and_is_named(folder) -> None:
    (folder / "train" / "emu" / "deeper").mkdir(parents=True)
    (folder / "test" / "dodo").mkdir()
    train, test = (load_dataset(str(folder), split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("crow", "owl", "wren")
    assert train.note == "no image in train/emu"
    assert test.note == "no image in test/dodo; no test image of crow"
    assert load_dataset(str(folder), "train").note == train.note  # from the decoded copy too


def test_images_in_deeper_folders_belong_to_the_class(folder) -> None:
    before = load_dataset(str(folder), "train")
    deeper = folder / "train" / "crow" / "a" / "b"
    deeper.mkdir(parents=True)
    (folder / "train" / "wren" / "001.png").rename(deeper / "000.png")
    after = load_dataset(str(folder), "train")
    assert len(after) == len(before)
    assert after.labels.bincount().tolist() == [2, 3, 1]


def test_a_class_of_deeper_images_alone(folder) -> None:
    place = folder / "train" / "emu" / "a"
    shutil.copytree(folder / "train" / "wren", place)
    assert load_dataset(str(folder), "train").class_names == ("crow", "emu", "owl", "wren")


def test_links_that_lead_in_a_circle_end(folder) -> None:
    (folder / "train" / "owl" / "again").symlink_to(folder / "train" / "owl")
    (folder / "train" / "robin").symlink_to(folder / "train" / "wren")
    train = load_dataset(str(folder), "train")
    assert train.class_names == ("crow", "owl", "robin", "wren")
    assert train.labels.bincount().tolist() == [1, 3, 2, 2]


@pytest.mark.parametrize("suffix", ["jfif", "JPG", "jpe", "webp", "bmp", "tif"])
def test_every_suffix_of_a_format_is_an_image(folder, suffix) -> None:
    place = folder / "train" / "emu"
    place.mkdir()
    kind = {"jfif": "JPEG", "JPG": "JPEG", "jpe": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    Image.new("L", (5, 6)).save(place / f"0.{suffix}", kind)
    assert load_dataset(str(folder), "train", image_size=4).class_names[1] == "emu"


def test_images_that_cannot_be_read_are_refused_and_not_left_out(folder) -> None:
    (folder / "train" / "owl" / "photo.HEIC").write_bytes(b"x")
    assert "cannot read owl/photo.HEIC of" in refusal(folder)
    assert "convert it" in refusal(folder)
    assert len(load_dataset(str(folder), "test")) == 2  # another split's matter


def test_images_outside_a_class_are_refused(folder) -> None:
    (folder / "train" / "owl" / "000.png").rename(folder / "train" / "000.png")
    assert "cannot read 000.png of" in refusal(folder)
    assert "in the folder of its class" in refusal(folder)


def test_files_left_out_are_named(folder) -> None:
    (folder / "train" / "owl" / "1234").write_bytes(b"x")
    (folder / "train" / "notes.txt").write_text("x")
    assert load_dataset(str(folder), "train").note == (
        "left out of train, being no images: notes.txt, owl/1234"
    )


def test_a_link_to_nothing_stops_its_own_split_only(folder) -> None:
    (folder / "test" / "owl" / "9.png").symlink_to(folder / "nowhere.png")
    assert len(load_dataset(str(folder), "train")) == 6
    assert "cannot read owl/9.png of" in refusal(folder, "test")
    assert refusal(folder, "test").endswith("the file that its link points to does not exist")


@pytest.mark.parametrize("place", ["owl/photo.heic", "photo.png", "owl/9.png"])
def test_a_copy_does_not_hide_what_is_refused(folder, place) -> None:
    for split in ("train", "test"):
        load_dataset(str(folder), split)
    (folder / "train" / place).symlink_to(folder / "nowhere.png")
    assert f"cannot read {place} of" in refusal(folder)
    assert len(load_dataset(str(folder), "test")) == 2
    (folder / "train" / place).unlink()
    assert len(load_dataset(str(folder), "train")) == 6


def test_notes_are_those_of_the_folder_as_it_is(folder) -> None:
    load_dataset(str(folder), "train")
    (folder / "train" / "owl" / "notes.txt").write_text("x")
    (folder / "train" / "emu").mkdir()
    for cache in (True, False):
        assert load_dataset(str(folder), "train", cache=cache).note == (
            "no image in train/emu; left out of train, being no images: owl/notes.txt"
        )


def test_one_split_under_two_names_is_refused(folder) -> None:
    shutil.copytree(folder / "test", folder / "val")
    shutil.copytree(folder / "test", folder / "validation")
    assert "expected one validation split in" in refusal(folder)
    assert refusal(folder).endswith("got validation and val")

"""Laws of steadygrad.datasets.parquet_folder, through load_dataset and on made-up files."""

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from steadygrad.datasets import load_dataset
from steadygrad.errors import DatasetError


@pytest.fixture
def encoded(png, pixels):
    images = pixels(6, 5, 4, 3)
    return [png(image) for image in images], torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("prefix", ["", "parquet:"])
@pytest.mark.parametrize("inside", ["", "data"])
def test_pixels_labels_and_names_arrive(tmp_path, encoded, write_parquet, prefix, inside) -> None:
    images, expected = encoded
    folder = tmp_path / "birds"
    first, second = (folder / inside / f"train-0000{i}-of-00002-0a1b.parquet" for i in (0, 1))
    write_parquet(first, images[:4], [0, 1, 2, 0], names="xyz")
    write_parquet(second, images[4:], [1, 1], names="xyz")
    dataset = load_dataset(f"{prefix}{folder}", "train")
    assert (dataset.name, dataset.split) == ("birds", "train")
    assert torch.equal(dataset.pixels, expected)
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 1]
    assert dataset.class_names == ("x", "y", "z")


def test_the_column_img_and_short_file_names_are_understood(
    tmp_path, encoded, write_parquet
) -> None:
    images, expected = encoded
    write_parquet(tmp_path / "train.parquet", images, [0] * 6, image_column="img")
    write_parquet(tmp_path / "val-small.parquet", images[:2], [0, 0], image_column="img")
    assert torch.equal(load_dataset(str(tmp_path), "train").pixels, expected)
    assert len(load_dataset(str(tmp_path), "validation")) == 2


def test_plain_bytes_are_images_too(tmp_path, encoded) -> None:
    images, expected = encoded
    parquet.write_table(
        pyarrow.table({"image": images, "label": [0] * 6}), tmp_path / "train.parquet"
    )
    assert torch.equal(load_dataset(str(tmp_path), "train").pixels, expected)


def test_numbers_without_names_are_counted_over_all_splits(
    tmp_path, encoded, write_parquet
) -> None:
    images, _ = encoded
    write_parquet(tmp_path / "train.parquet", images[:3], [0, 3, 2])
    write_parquet(tmp_path / "test.parquet", images[3:5], [0, 5])
    write_parquet(tmp_path / "validation.parquet", images[5:], [1])
    for split in ("train", "test", "validation"):
        assert load_dataset(str(tmp_path), split).class_names == tuple("012345")


def test_text_labels_are_numbered_in_alphabetical_order(tmp_path, encoded, write_parquet) -> None:
    images, _ = encoded
    write_parquet(
        tmp_path / "train.parquet", images, ["wren", "crow", "owl", "owl", "crow", "wren"]
    )
    write_parquet(tmp_path / "test.parquet", images[:1], ["owl"])
    train, test = (load_dataset(str(tmp_path), split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("crow", "owl", "wren")
    assert train.labels.tolist() == [2, 0, 1, 1, 0, 2]
    assert test.labels.tolist() == [1]


def test_grey_stays_grey_and_becomes_rgb_beside_colour(
    tmp_path, png, pixels, write_parquet
) -> None:
    grey, colour = pixels(2, 4, 4), pixels(4, 4, 3)
    write_parquet(tmp_path / "train.parquet", [png(image) for image in grey], [0, 0])
    write_parquet(tmp_path / "test.parquet", [png(grey[0]), png(colour), png(grey[1])], [0] * 3)
    assert load_dataset(str(tmp_path), "train").input_shape == (1, 4, 4)
    mixed = load_dataset(str(tmp_path), "test").pixels.numpy()
    assert np.array_equal(mixed[0], np.repeat(grey[:1], 3, axis=0))
    assert np.array_equal(mixed[1], colour.transpose(2, 0, 1))
    assert np.array_equal(mixed[2], np.repeat(grey[1:], 3, axis=0))


def refusal(folder, split="train") -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(f"parquet:{folder}", split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_of_several_sizes_are_refused(tmp_path, png, pixels, write_parquet) -> None:
    images = [png(pixels(4, 4)), png(pixels(4, 4)), png(pixels(4, 5))]
    write_parquet(tmp_path / "train.parquet", images, [0] * 3)
    assert "one size" in refusal(tmp_path)
    assert "got 4x4 and, in image 2, 4x5; resize them first" in refusal(tmp_path)


def test_a_damaged_image_is_named(tmp_path, encoded, write_parquet) -> None:
    images, _ = encoded
    for damaged in (images[3][:-30], b"no image", b"", images[3][:40] + b"\xff" * 60):
        write_parquet(tmp_path / "train.parquet", [*images[:3], damaged], [0] * 4)
        assert "cannot read image 3 of the train split of" in refusal(tmp_path)


def test_a_row_without_image_or_label_is_named(tmp_path, encoded, write_parquet) -> None:
    images, _ = encoded
    write_parquet(tmp_path / "train.parquet", [images[0], None], [0, 0])
    assert "got no bytes in row 1" in refusal(tmp_path)
    write_parquet(tmp_path / "train.parquet", images[:3], [0, None, 1])
    assert "got no label in row 1" in refusal(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path, png, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", [png(np.full((4, 4), 40_000, dtype=np.uint16))], [0])
    assert "8 bits a channel" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 cut off in the middle PAR1"])
def test_a_damaged_file_is_named(tmp_path, content) -> None:
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(content)
    assert "train-00000-of-00001.parquet: it is damaged, or no parquet" in refusal(tmp_path)


def test_a_file_cut_short_is_named(tmp_path, encoded, write_parquet) -> None:
    path = write_parquet(tmp_path / "train.parquet", encoded[0], [0] * 6)
    content = path.read_bytes()
    path.write_bytes(content[:10] + bytes(200) + content[210:])  # the footer still reads
    assert "cannot read" in refusal(tmp_path)


def test_missing_columns_are_listed(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0] * 6, label_column="fine_label")
    assert "columns image or img, and label, in" in refusal(tmp_path)
    assert "got image, fine_label" in refusal(tmp_path)


def test_columns_of_the_wrong_kind_are_refused(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0.5] * 6)
    assert "whole numbers or text" in refusal(tmp_path)
    parquet.write_table(
        pyarrow.table({"image": [1, 2], "label": [0, 1]}), tmp_path / "train.parquet"
    )
    assert "encoded images as bytes" in refusal(tmp_path)
    assert "got int64" in refusal(tmp_path)


@pytest.mark.parametrize("names", [None, ("a", "b")])
def test_labels_out_of_range_are_refused(tmp_path, encoded, write_parquet, names) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, -1, 0, 1, 0], names=names)
    assert "got -1" in refusal(tmp_path)
    write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, 10**9, 0, 1, 0], names=names)
    assert f"got {10**9}" in refusal(tmp_path)


def test_an_unknown_text_label_is_refused(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0][:2], ["a", "c"], names=("a", "b"))
    assert "labels among a, b in" in refusal(tmp_path)
    assert "got 'c' in row 1" in refusal(tmp_path)


def test_no_images_no_split_no_files(tmp_path, encoded, write_parquet) -> None:
    assert "expected train-*.parquet and test-*.parquet" in refusal(tmp_path)
    write_parquet(tmp_path / "train.parquet", [], pyarrow.array([], pyarrow.int64()))
    assert "at least one image" in refusal(tmp_path)
    assert "no test split of" in refusal(tmp_path, "test")
    assert refusal(tmp_path, "test").endswith("it has train")


def test_a_missing_part_of_a_split_is_noticed(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train-00001-of-00003.parquet", encoded[0], [0] * 6)
    assert "expected 3 train-*.parquet files" in refusal(tmp_path)
    assert "got 1" in refusal(tmp_path)

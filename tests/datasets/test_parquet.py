"""Laws of steadygrad.datasets.parquet, through load_dataset and on made-up files."""

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from steadygrad.datasets import image_loader, load_dataset
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
    assert "got 4x4 and, in image 2, 4x5; give an image_size" in refusal(tmp_path)


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


@pytest.mark.parametrize("order", [("bee", "ant"), ("bee",)])
def test_a_label_keeps_its_name_where_splits_number_differently(
    tmp_path, encoded, write_parquet, order
) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, 1, 0, 0, 1], names=("ant", "bee"))
    write_parquet(tmp_path / "test.parquet", encoded[0][:3], [0] * 3, names=order)
    train, test = (load_dataset(str(tmp_path), split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("ant", "bee")
    assert train.labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert test.labels.tolist() == [1] * 3
    assert train.note == ""
    assert test.note == "the test files number the classes in another order than train"


def test_a_class_that_train_does_not_name_is_refused(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0] * 6, names=("ant", "bee"))
    write_parquet(tmp_path / "test.parquet", encoded[0], [0] * 6, names=("ant", "wasp"))
    assert len(load_dataset(str(tmp_path), "train")) == 6
    assert refusal(tmp_path, "test").endswith("got also wasp")


@pytest.mark.parametrize(
    ("labels", "test_labels", "missing"),
    [([0, 1, 1, 0, 0, 1], [0, 1, 2], "2"), ([1, 2, 2, 1, 1, 2], [1, 2, 1], "0")],
)
def test_classes_without_an_image_to_learn_from_are_noted(
    tmp_path, encoded, write_parquet, labels, test_labels, missing
) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], labels)
    write_parquet(tmp_path / "test.parquet", encoded[0][:3], test_labels)
    train = load_dataset(str(tmp_path), "train")
    assert train.class_names == ("0", "1", "2")
    assert train.note == f"the train split has no image of these classes: {missing}"


def test_a_label_beyond_the_names_of_its_own_split_is_refused(
    tmp_path, encoded, write_parquet
) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0] * 6, names=("ant", "bee"))
    write_parquet(tmp_path / "test.parquet", encoded[0][:2], [0, 5], names=("bee", "ant"))
    assert "expected labels from 0 to 1 in the test split of" in refusal(tmp_path, "test")
    assert refusal(tmp_path, "test").endswith("got 5 in row 1")


def test_hidden_labels_stop_their_own_split_only(tmp_path, encoded, write_parquet) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, 1, 0, 1, 1])
    write_parquet(tmp_path / "test.parquet", encoded[0], [-1] * 6)
    train = load_dataset(str(tmp_path), "train")
    assert train.class_names == ("0", "1")
    assert "got -1" in refusal(tmp_path, "test")


def test_missing_labels_and_damage_stop_their_own_split_only(
    tmp_path, encoded, write_parquet
) -> None:
    write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, 1, 0, 1, 1])
    parquet.write_table(pyarrow.table({"image": encoded[0]}), tmp_path / "test.parquet")
    (tmp_path / "validation.parquet").write_bytes(b"PAR1")
    train = load_dataset(str(tmp_path), "train")
    assert train.class_names == ("0", "1")
    assert train.note == (
        "the classes are counted without test.parquet (no labels); "
        "the classes are counted without validation.parquet (not readable)"
    )
    assert "and label, in" in refusal(tmp_path, "test")
    assert "damaged" in refusal(tmp_path, "validation")


def test_what_macos_leaves_beside_a_file_is_left_alone(tmp_path, encoded, write_parquet) -> None:
    (tmp_path / "._train.parquet").write_bytes(b"\0\5\26\7")
    assert "got neither folder" in refusal_of(f"folder:{tmp_path}")
    write_parquet(tmp_path / "train.parquet", encoded[0], [0] * 6)
    assert len(load_dataset(str(tmp_path), "train")) == 6


def refusal_of(source: str) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(source, "train")
    return str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    ["{", "[]", "null", '{"info": null}', '{"info": {"features": []}}', "\ud7ff"]
    + [f'{{"info": {{"features": {{"label": {label}}}}}}}' for label in ("3", '{"names": 3}')]
    + ['{"info": {"features": {"label": {"names": [1, 2]}}}}'],
)
def test_metadata_that_says_nothing_of_use_is_left_alone(
    tmp_path, encoded, write_parquet, metadata
) -> None:
    path = write_parquet(tmp_path / "train.parquet", encoded[0], [0, 1, 1, 0, 1, 1])
    table = parquet.read_table(path).replace_schema_metadata({"huggingface": metadata})
    parquet.write_table(table, path)
    assert load_dataset(str(tmp_path), "train").class_names == ("0", "1")


def test_parts_of_two_kinds_are_refused(tmp_path, encoded, write_parquet) -> None:
    first, second = (tmp_path / f"train-0000{i}-of-00002.parquet" for i in (0, 1))
    write_parquet(first, encoded[0], list("abbabb"))
    write_parquet(second, encoded[0], [0, 1, 1, 0, 1, 1])
    assert "the same columns in all train files" in refusal(tmp_path)
    assert refusal(tmp_path).endswith("(text and number labels)")
    write_parquet(second, encoded[0], list("abbabb"), image_column="img")
    assert refusal(tmp_path).endswith(f"{first.name} and {second.name}")


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "train-00000-of-00001.parquet"),
        ("train-00000-of-00001.parquet", "train-00000-of-00001-0a1b.parquet"),
        ("train-00000-of-00001.parquet", "train-00000-of-00002.parquet"),
        ("train.parquet", "train-small.parquet"),
        ("val.parquet", "validation.parquet"),
    ],
)
def test_two_copies_of_a_split_are_refused(tmp_path, encoded, write_parquet, names) -> None:
    for name in names:
        write_parquet(tmp_path / name, encoded[0], [0] * 6)
    assert "expected one copy of the" in refusal(tmp_path)
    assert all(name in refusal(tmp_path) for name in names)


def test_parts_with_marks_of_their_own_belong_together(tmp_path, encoded, write_parquet) -> None:
    for number, mark in enumerate(("-1f2e", "-9a0b")):
        name = f"train-0000{number}-of-00002{mark}.parquet"
        write_parquet(tmp_path / name, encoded[0][:3], [number] * 3)
    assert load_dataset(str(tmp_path), "train").labels.tolist() == [0] * 3 + [1] * 3


def test_a_folder_for_each_split(tmp_path, encoded, write_parquet) -> None:
    for split, number, count in (("train", 0, 4), ("train", 1, 2), ("test", 0, 3)):
        place = tmp_path / "birds" / split / f"000{number}.parquet"
        write_parquet(place, encoded[0][:count], [number] * count)
    train = load_dataset(str(tmp_path / "birds"), "train")
    assert train.labels.tolist() == [0] * 4 + [1] * 2
    assert len(load_dataset(f"parquet:{tmp_path / 'birds'}", "test")) == 3


def test_columns_may_have_other_names(tmp_path, encoded, write_parquet) -> None:
    path = tmp_path / "train.parquet"
    write_parquet(path, encoded[0], [0, 1] * 3, image_column="photo", label_column="fine_label")
    source = f"parquet:{tmp_path},image_column=photo,label_column=fine_label"
    assert load_dataset(source, "train").labels.tolist() == [0, 1] * 3


@pytest.mark.parametrize("name", ["a[1]b", "st*r", "wh?t", ".hidden", "with space", "ü#"])
def test_any_name_of_a_folder_will_do(tmp_path, encoded, write_parquet, name) -> None:
    folder = tmp_path / name
    write_parquet(folder / "train.parquet", encoded[0], [0, 1] * 3)
    assert len(load_dataset(str(folder), "train")) == 6
    loader = image_loader(str(folder), "train", batch_size=4)
    assert sum(len(labels) for _, labels in loader) == 6


def test_a_struct_that_is_missing_has_no_bytes(tmp_path, encoded) -> None:
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    rows = pyarrow.array([{"bytes": encoded[0][0], "path": None}, None], kind)
    parquet.write_table(pyarrow.table({"image": rows, "label": [0, 0]}), tmp_path / "train.parquet")
    assert "got no bytes in row 1" in refusal(tmp_path)

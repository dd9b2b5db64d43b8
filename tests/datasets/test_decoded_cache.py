"""Laws of steadygrad.datasets.decoded_cache."""

import os
from pathlib import Path

import pytest
import torch

from steadygrad.datasets import (
    ImageDataset,
    cache_folder,
    decoded_cache,
    image_loader,
    load_dataset,
)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many images each decoding reads."""
    noted: list[int] = []
    decode = decoded_cache.decode_images

    def counted(images, total, where, describe, **framing):
        noted.append(total)
        return decode(images, total, where, describe, **framing)

    monkeypatch.setattr(decoded_cache, "decode_images", counted)
    return noted


def copies() -> list[Path]:
    return sorted((cache_folder() / "datasets").glob("*"))


def same(first: ImageDataset, second: ImageDataset) -> bool:
    return (
        torch.equal(first.pixels, second.pixels)
        and torch.equal(first.labels, second.labels)
        and first.class_names == second.class_names
    )


def test_the_second_time_nothing_is_decoded(mnist_like, decodings) -> None:
    folder, images = mnist_like
    first = load_dataset("mnist", "train", data_dir=folder)
    second = load_dataset("mnist", "train", data_dir=folder)
    assert decodings == [20]
    assert same(first, second)
    assert torch.equal(second.pixels[:, 0], torch.from_numpy(images))
    assert [path.suffix for path in copies()] == [".safetensors"]


def test_switched_off_it_neither_reads_nor_writes(mnist_like, decodings) -> None:
    for _ in range(2):
        load_dataset("mnist", "test", data_dir=mnist_like[0], cache=False)
    assert decodings == [10, 10]
    assert copies() == []


def test_a_source_that_changed_is_decoded_anew_in_the_same_place(mnist_like, decodings) -> None:
    folder, _ = mnist_like
    load_dataset("mnist", "test", data_dir=folder)
    path = folder / "mnist" / "test-00000-of-00001.parquet"
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000))
    load_dataset("mnist", "test", data_dir=folder)
    assert decodings == [10, 10]
    assert len(copies()) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "folder"])
def test_a_damaged_copy_is_made_anew(mnist_like, decodings, damage: str) -> None:
    folder, _ = mnist_like
    first = load_dataset("mnist", "test", data_dir=folder)
    (copy,) = copies()
    content = bytearray(copy.read_bytes())
    content[-100] ^= 1  # one bit of one pixel
    damaged = {"cut": content[:-7], "flip": content, "empty": b"", "text": b"not a tensor"}
    if damage == "folder":
        copy.unlink()
        copy.mkdir()
    else:
        copy.write_bytes(damaged[damage])
    assert same(load_dataset("mnist", "test", data_dir=folder), first)
    assert decodings == [10, 10]
    if damage != "folder":
        assert same(load_dataset("mnist", "test", data_dir=folder), first)
        assert decodings == [10, 10]


def test_a_folder_that_cannot_be_written_costs_only_time(
    mnist_like, decodings, monkeypatch, tmp_path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("STEADYGRAD_CACHE", str(blocked))
    for _ in range(2):
        load_dataset("mnist", "test", data_dir=mnist_like[0])
    assert decodings == [10, 10]


def test_a_failed_write_leaves_nothing_behind(mnist_like, monkeypatch) -> None:
    def fail(tensors, path, metadata) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    assert len(load_dataset("mnist", "test", data_dir=mnist_like[0])) == 10
    assert copies() == []


def test_one_folder_read_as_two_sets_has_two_copies(mnist_like) -> None:
    folder, _ = mnist_like
    known = load_dataset("mnist", "train", data_dir=folder)
    own = load_dataset(f"parquet:{folder / 'mnist'}", "train")
    assert len(copies()) == 2
    assert torch.equal(known.pixels, own.pixels)


def test_image_folders_are_kept_too(tmp_path, write_image_folder) -> None:
    folder = write_image_folder(tmp_path / "birds", {"train": {"owl": 2, "wren": 2}})
    first = load_dataset(str(folder), "train")
    assert len(copies()) == 1
    assert same(load_dataset(str(folder), "train"), first)
    (folder / "train" / "owl" / "000.png").unlink()
    assert len(load_dataset(str(folder), "train")) == 3


def test_the_folder_follows_the_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("STEADYGRAD_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("STEADYGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "steadygrad"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "steadygrad"


def test_a_file_of_equal_size_and_time_is_noticed(mnist_like, decodings) -> None:
    folder, _ = mnist_like
    load_dataset("mnist", "test", data_dir=folder)
    path = folder / "mnist" / "test-00000-of-00001.parquet"
    state = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    load_dataset("mnist", "test", data_dir=folder)
    assert decodings == [10, 10]


def test_under_a_limit_no_more_is_decoded(mnist_like, decodings) -> None:
    folder, images = mnist_like
    few = [load_dataset("mnist", "train", data_dir=folder, limit=3) for _ in range(2)]
    assert decodings == [3]
    assert all(torch.equal(one.pixels[:, 0], torch.from_numpy(images[:3])) for one in few)
    assert few[0].note == few[1].note == "20 of the set's 60,000 train images"
    load_dataset("mnist", "train", data_dir=folder, limit=50)
    load_dataset("mnist", "train", data_dir=folder, limit=7)
    assert decodings == [3, 20]  # a copy of all serves every limit


def test_the_channels_under_a_limit_do_not_depend_on_earlier_copies(tmp_path, png, pixels) -> None:
    place = tmp_path / "birds" / "train" / "owl"
    place.mkdir(parents=True)
    for number in range(4):  # two grey images, then two in colour
        image = pixels(6, 5, 3, seed=number) if number > 1 else pixels(6, 5, seed=number)
        (place / f"{number}.png").write_bytes(png(image))
    folder = str(tmp_path / "birds")

    def channels(cache: bool) -> list[int]:
        return [
            load_dataset(folder, "train", limit=limit, cache=cache).input_shape[0]
            for limit in (None, 1, 2, 3, 4)
        ]

    assert channels(cache=False) == channels(cache=True) == channels(cache=True) == [3, 1, 1, 3, 3]


def test_every_size_has_a_copy_of_its_own(mnist_like, decodings) -> None:
    sizes = (14, None, 7, 14)
    shapes = [
        load_dataset("mnist", "test", data_dir=mnist_like[0], image_size=size).input_shape
        for size in sizes
    ]
    assert shapes == [(1, 14, 14), (1, 28, 28), (1, 7, 7), (1, 14, 14)]
    assert decodings == [10, 10, 10]


def test_rows_follow_their_files(mnist_like) -> None:
    def labels() -> list[int]:
        loader = image_loader("mnist", "test", data_dir=folder, batch_size=99)
        return next(loader.epoch(0))[1].tolist()

    folder, _ = mnist_like
    assert labels() == [*range(10)]
    train = folder / "mnist" / "train-00001-of-00002.parquet"
    path = folder / "mnist" / "test-00000-of-00001.parquet"
    state = path.stat()
    path.write_bytes(train.read_bytes())
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert labels() == [5, 6, 7, 8, 9]
    assert len(list((cache_folder() / "rows").glob("*/*"))) == 1

"""The loader: epochs that resume, workers, bounded memory, and what it refuses."""

import io
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image

from steadygrad.datasets import (
    GaussianNoise,
    HorizontalFlip,
    ImageLoader,
    RandomCrop,
    UniformNoise,
    batches,
    centre_luminance,
    image_loader,
    load_dataset,
)
from steadygrad.errors import DatasetError, HyperparameterError


@pytest.fixture
def mixed_sizes(tmp_path, png, pixels) -> Path:
    """A folder of 11 images of several sizes, each with pixels of its own."""
    for number in range(11):
        place = tmp_path / "birds" / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        image = pixels(9 + number, 20 - number, 3, seed=number)
        (place / f"{number:02}.png").write_bytes(png(image))
    return tmp_path / "birds"


def flat(loader: ImageLoader, epoch: int, start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*loader.epoch(epoch, start), strict=True)
    assert all(batch.dtype == torch.float32 for batch in images)
    assert all(batch.dtype == torch.int64 for batch in labels)
    return torch.cat(images), torch.cat(labels)


def test_the_loader_gives_what_the_whole_set_holds(mixed_sizes) -> None:
    whole = load_dataset(str(mixed_sizes), "train", image_size=8)
    loader = image_loader(str(mixed_sizes), "train", batch_size=4, image_size=8, shuffle=False)
    images, labels = flat(loader, 0)
    assert torch.equal(images, whole.images())
    assert torch.equal(labels, whole.labels)
    assert loader.class_names == whole.class_names == ("a", "b")
    assert (len(loader), loader.num_images, loader.num_classes) == (3, 11, 2)


@pytest.mark.parametrize("name", ["mnist", "digits", "svhn_10k"])
def test_named_sets_come_by_the_loader_too(
    name, mnist_like, tmp_path, png, pixels, write_parquet
) -> None:
    images = [png(image) for image in pixels(3, 32, 32, 3)]
    place = mnist_like[0] / "svhn_10k" / "test-00000-of-00001.parquet"
    write_parquet(place, images, [1, 0, 9])
    whole = load_dataset(name, "test", data_dir=mnist_like[0], limit=7)
    loader = image_loader(name, "test", data_dir=mnist_like[0], limit=7, batch_size=2)
    found, labels = flat(loader, 0)
    assert torch.equal(found, whole.images())
    assert torch.equal(labels, whole.labels)
    assert loader.class_names == whole.class_names


SETTINGS = {
    "shuffled": {},
    "cropped": {"smallest_area": 0.3, "interpolation": "bicubic"},
    "augmented": {"augmentation": (HorizontalFlip(), RandomCrop(2), GaussianNoise(0.1))},
    "streaming": {"streaming": True, "smallest_area": 0.3, "buffer_size": 5},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_epoch_follows_from_seed_and_number_and_can_be_resumed(mixed_sizes, settings) -> None:
    def make(seed: int = 1) -> ImageLoader:
        return image_loader(
            str(mixed_sizes), "train", batch_size=3, image_size=8, seed=seed, **settings
        )

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, labels = flat(make(), 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first) == 11
    assert labels.bincount().tolist() == [6, 5]
    again, _ = flat(make(), 4)
    assert torch.equal(again, first)
    for start in range(4):
        assert torch.equal(flat(make(), 4, start)[0], first[3 * start :])
    assert list(make().epoch(4, 4)) == []
    for other in (flat(make(), 5)[0], flat(make(seed=2), 4)[0]):
        assert not torch.equal(other, first)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_workers_change_nothing_but_a_streams_order(mixed_sizes, settings) -> None:
    def make(workers: int) -> ImageLoader:
        return image_loader(
            str(mixed_sizes), "train", batch_size=3, image_size=8, workers=workers, **settings
        )

    loader = make(2)
    (images, labels), (expected, _) = flat(loader, 1), flat(make(0), 1)
    assert labels.bincount().tolist() == [6, 5]
    if "streaming" not in settings:
        assert torch.equal(images, expected)
    # Also the second epoch of the same workers, and one that is resumed.
    again, _ = flat(loader, 1)
    assert torch.equal(again, images)
    assert torch.equal(flat(loader, 1, 2)[0], images[-len(flat(loader, 1, 2)[0]) :])


def test_a_loop_goes_through_the_epochs_and_its_state_resumes_it(mixed_sizes) -> None:
    def make() -> ImageLoader:
        return image_loader(str(mixed_sizes), "train", batch_size=3, image_size=8, seed=3)

    loader = make()
    assert [len(labels) for _, labels in loader] == [3, 3, 3, 2]
    assert loader.state_dict() == {"epoch": 1, "batch": 0}
    second = []
    for images, _ in loader:
        second.append(images)
        if len(second) == 2:
            state = loader.state_dict()
    assert torch.equal(torch.cat(second), flat(make(), 1)[0])
    resumed = make()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state == {"epoch": 1, "batch": 2}
    assert torch.equal(torch.cat([images for images, _ in resumed]), torch.cat(second[2:]))
    assert resumed.state_dict() == {"epoch": 2, "batch": 0}


def test_after_a_loop_that_is_left_early_comes_the_next_epoch(mixed_sizes) -> None:
    def make() -> ImageLoader:
        return image_loader(str(mixed_sizes), "train", batch_size=3, image_size=8, seed=3)

    loader, states = make(), []
    for epoch in range(3):
        images = torch.cat([images for images, _ in islice(loader, 2)])
        assert torch.equal(images, flat(make(), epoch)[0][:6])
        states.append(loader.state_dict())
    assert states == [{"epoch": epoch, "batch": 2} for epoch in range(3)]
    loader.load_state_dict(states[1])
    images = torch.cat([images for images, _ in islice(loader, 1)])
    assert torch.equal(images, flat(make(), 1, 2)[0][:3])
    assert torch.equal(torch.cat([images for images, _ in loader]), flat(make(), 2)[0])


def test_random_parts_differ_and_keep_their_size(mixed_sizes) -> None:
    loader = image_loader(
        str(mixed_sizes), "train", batch_size=11, image_size=8, smallest_area=0.2, shuffle=False
    )
    first, second = flat(loader, 0)[0], flat(loader, 1)[0]
    assert first.shape == (11, 3, 8, 8)
    assert all(not torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_validation_and_limit_are_those_of_the_whole_set(mixed_sizes) -> None:
    for split in ("train", "validation"):
        more = {"validation_size": 5, "seed": 2, "limit": 4}
        whole = load_dataset(str(mixed_sizes), split, image_size=8, **more)
        loader = image_loader(
            str(mixed_sizes), split, batch_size=3, image_size=8, shuffle=False, **more
        )
        assert torch.equal(flat(loader, 0)[0], whole.images())
        assert (loader.split, loader.num_images) == (split, 4)


def test_damage_reaches_the_caller_as_one_sentence(mixed_sizes) -> None:
    (mixed_sizes / "train" / "a" / "04.png").write_bytes(b"no image")
    for settings in ({"workers": 1}, {}, {"streaming": True}):
        loader = image_loader(str(mixed_sizes), "train", batch_size=3, image_size=8, **settings)
        with pytest.raises(DatasetError) as caught:
            list(loader)
        assert "04.png of the train split of birds in" in str(caught.value)
        assert "\n" not in str(caught.value)
    (mixed_sizes / "train" / "a" / "04.png").unlink()
    with pytest.raises(DatasetError, match=r"expected images of one size in .*give an image_size"):
        list(image_loader(str(mixed_sizes), "train", batch_size=3))


def test_labels_without_a_class_are_refused(tmp_path, png, pixels, write_parquet) -> None:
    images = [png(pixels(4, 4))] * 3
    write_parquet(tmp_path / "train.parquet", images, [0, 7, 1], names=("a", "b"))
    for settings in ({}, {"streaming": True}):
        loader = image_loader(str(tmp_path), "train", batch_size=2, shuffle=False, **settings)
        with pytest.raises(DatasetError, match=r"labels of 2 classes in .*got 7 in image 1"):
            list(loader)


def test_one_loader_serves_one_epoch_at_a_time(mixed_sizes) -> None:
    loader = image_loader(str(mixed_sizes), "train", batch_size=3, image_size=8, workers=1)
    first = loader.epoch(0)
    next(first)
    next(loader.epoch(1))
    with pytest.raises(DatasetError, match="another epoch of this loader was begun"):
        next(first)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("folder", {"batch_size": 0}, "batch_size >= 1, got 0"),
        ("folder", {"workers": -1}, "workers >= 0, got -1"),
        ("folder", {"seed": -1}, "seed >= 0, got -1"),
        ("folder", {"channels": 2}, "channels 1 or 3, got 2"),
        ("folder", {"image_size": 0}, "image_size >= 1 pixel, got 0"),
        ("folder", {"image_size": 8, "shorter_side": 7}, "shorter_side >= image_size 8, got 7"),
        ("folder", {"image_size": 8, "smallest_area": 0.0}, r"smallest_area in \(0, 1\], got 0"),
        ("folder", {"image_size": 8, "interpolation": "cubic"}, "bilinear or bicubic, got 'cubic'"),
        ("folder", {"smallest_area": 0.5}, "expected image_size beside"),
        ("folder", {"streaming": True, "limit": 3}, "a stream takes no limit"),
        ("folder", {"streaming": True, "validation_size": 3}, "a stream takes no limit"),
        ("folder", {"validation_size": 11}, "below the 11 training images of birds, got 11"),
        ("digits", {"streaming": True}, "digits is prepared in memory and takes no streaming"),
        ("digits", {"image_size": 16}, "digits takes no image_size, got 16"),
    ],
)
def test_a_loaders_settings_that_mean_nothing_are_refused(
    mixed_sizes, source, settings, message
) -> None:
    source = str(mixed_sizes) if source == "folder" else source
    with pytest.raises(HyperparameterError, match=message):
        image_loader(source, "train", **({"batch_size": 3} | settings))


def test_an_epoch_or_a_start_that_does_not_exist_is_refused(mixed_sizes) -> None:
    loader = image_loader(str(mixed_sizes), "train", batch_size=3, image_size=8)
    with pytest.raises(HyperparameterError, match="an epoch >= 0, got -1"):
        loader.epoch(-1)
    with pytest.raises(HyperparameterError, match="start from 0 to 4 batches, got 5"):
        loader.epoch(0, 5)
    with pytest.raises(DatasetError, match="no test split of birds"):
        image_loader(str(mixed_sizes), "test", batch_size=3)
    shared = image_loader(
        str(mixed_sizes), "train", batch_size=3, image_size=8, workers=2, streaming=True
    )
    with pytest.raises(TypeError, match="not known"):
        len(shared)


MEMORY_PROGRAM = """
import resource, sys
from steadygrad.datasets import image_loader

loader = image_loader(sys.argv[1], "train", batch_size=16, image_size=224, smallest_area=0.5)
batches = loader.epoch(0)
next(batches)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 16 + sum(len(labels) for _, labels in batches)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in other units elsewhere")
def test_a_set_larger_than_the_memory_it_may_take_comes_in_bounded_memory(tmp_path) -> None:
    count, side = 480, 224
    stream = io.BytesIO()
    Image.new("RGB", (250, side), (200, 90, 30)).save(stream, "JPEG")
    for number in range(count):
        place = tmp_path / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(stream.getvalue())
    found = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    seen, grown = map(int, found.stdout.split())
    assert seen == count
    assert grown < count * 3 * side * side / 4  # bytes; as float32 the set has sixteen times that


def test_a_set_larger_than_memory_is_refused_before_it_is_decoded(mixed_sizes, monkeypatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 10)  # ten pages of ten bytes
    with pytest.raises(DatasetError, match=r"got 11 of 8x8, .* read them with image_loader"):
        load_dataset(str(mixed_sizes), "train", image_size=8)


def test_default_dtype_and_device_play_no_part(mixed_sizes, mnist_like) -> None:
    def everything() -> list[torch.Tensor]:
        settings = {"batch_size": 4, "image_size": 8, "smallest_area": 0.5}
        augmentation = (HorizontalFlip(), RandomCrop(1), GaussianNoise(0.1), UniformNoise(0.1))
        loader = image_loader(str(mixed_sizes), **settings, augmentation=augmentation)
        digits = load_dataset("digits", validation_size=9)
        mnist = load_dataset("mnist", data_dir=mnist_like[0])
        batch = next(batches(mnist, 5, shuffle_seed=1))
        luminance = centre_luminance(torch.zeros(1, 3, 32, 32, dtype=torch.uint8, device="cpu"))
        return [*flat(loader, 0), digits.images(), digits.labels, *batch, luminance]

    expected = everything()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        found = everything()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)

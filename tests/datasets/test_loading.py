"""Laws of steadygrad.datasets.loading: splits, limits, refusals, and the loader's epochs."""

import io
import subprocess
import sys
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
from steadygrad.errors import DatasetError, HyperparameterError, UnknownNameError


@pytest.mark.parametrize("inside", ["mnist", "mnist/mnist", "mnist/data", ".", "data"])
def test_a_known_set_is_found_in_or_at_the_data_folder(tmp_path, mnist_like, inside) -> None:
    place = tmp_path / "elsewhere" / inside
    place.parent.mkdir(parents=True, exist_ok=True)
    (mnist_like[0] / "mnist").rename(place)
    assert len(load_dataset("mnist", "test", data_dir=tmp_path / "elsewhere")) == 10


def test_the_sets_own_folder_is_a_data_folder_and_another_sets_is_not(mnist_like) -> None:
    folder = mnist_like[0] / "mnist"
    assert len(load_dataset("mnist", "test", data_dir=folder)) == 10
    assert len(load_dataset("mnist", "test", data_dir=str(folder))) == 10
    with pytest.raises(DatasetError, match="no fashion_mnist in"):
        load_dataset("fashion_mnist", "test", data_dir=folder)


def test_a_known_name_is_not_a_folder_of_that_name(mnist_like, monkeypatch) -> None:
    (mnist_like[0] / "mnist").rename(mnist_like[0] / "digits")
    monkeypatch.chdir(mnist_like[0])
    assert load_dataset("digits", "test").input_shape == (1, 8, 8)
    assert load_dataset("./digits", "test").input_shape == (1, 28, 28)


def test_an_own_set_may_lie_in_the_data_folder(tmp_path, write_image_folder) -> None:
    write_image_folder(tmp_path / "birds", {"train": {"owl": 1}})
    assert len(load_dataset("birds", "train", data_dir=tmp_path)) == 1


def test_a_copy_that_is_not_whole_says_so(mnist_like) -> None:
    assert load_dataset("mnist", "train", data_dir=mnist_like[0]).note == (
        "20 of the set's 60,000 train images"
    )


def test_svhn_is_prepared_and_carries_its_note(tmp_path, png, pixels, write_parquet) -> None:
    images = [png(image) for image in pixels(3, 32, 32, 3)]
    write_parquet(tmp_path / "svhn_10k" / "test-00000-of-00001.parquet", images, [1, 0, 9])
    dataset = load_dataset("svhn_10k", "test", data_dir=tmp_path)
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.pixels.dtype == torch.float32
    assert dataset.images().aminmax() == (0.0, 1.0)
    assert dataset.note.startswith("not SVHN's own split")
    assert dataset.note.endswith("3 of the set's 2,011 test images")


def test_validation_is_cut_from_train(mnist_like) -> None:
    def load(split: str, **more) -> torch.Tensor:
        return load_dataset("mnist", split, data_dir=mnist_like[0], **more)

    whole = load("train")
    train, validation = (load(split, validation_size=10) for split in ("train", "validation"))
    assert (train.split, validation.split) == ("train", "validation")
    assert torch.bincount(validation.labels).tolist() == [1] * 10
    together = torch.cat([train.pixels, validation.pixels]).flatten(1).tolist()
    assert sorted(together) == sorted(whole.pixels.flatten(1).tolist())
    other = load("validation", validation_size=10, seed=1)
    assert not torch.equal(other.pixels, validation.pixels)
    assert torch.equal(load("test", validation_size=10).pixels, load("test").pixels)


def test_the_limit_keeps_the_first_after_the_cut() -> None:
    cut = load_dataset("digits", "train", validation_size=200)
    limited = load_dataset("digits", "train", validation_size=200, limit=50)
    assert len(cut) == 1237
    assert torch.equal(limited.pixels, cut.pixels[:50])
    assert len(load_dataset("digits", "test", limit=10**6)) == 360


def test_an_own_validation_split_is_used_unless_one_is_cut(tmp_path, write_image_folder) -> None:
    contents = {"train": {"owl": 6}, "validation": {"owl": 2}}
    folder = str(write_image_folder(tmp_path / "birds", contents))
    assert len(load_dataset(folder, "validation")) == 2
    assert len(load_dataset(folder, "validation", validation_size=3)) == 3
    assert len(load_dataset(folder, "train", validation_size=3)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, r"split train, test, validation, got 'dev'"),
        ({"limit": 0}, r"limit of at least 1 image, got 0"),
        ({"validation_size": -1}, r"validation_size >= 0, got -1"),
        ({"validation_size": 1437}, r"below the 1437 training images of digits, got 1437"),
        ({"split": "validation"}, r"digits has no validation split of its own; give validation_"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        load_dataset("digits", **arguments)


def test_unknown_names_and_missing_folders(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match=r"'minst' .*'mnist'.*; choose .*digits"):
        load_dataset("minst", data_dir=tmp_path)
    for name in ("./birds", "some/birds", "parquet:birds", "folder:birds"):
        with pytest.raises(DatasetError, match=r"expected a folder of images at .*birds, got none"):
            load_dataset(name)
    with pytest.raises(DatasetError, match=r"the data folder .*nowhere does not exist"):
        load_dataset("mnist", data_dir=tmp_path / "nowhere")


def test_a_data_folder_without_the_set_says_what_to_put_where(tmp_path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset("cifar10", data_dir=tmp_path)
    assert f"no cifar10 in {tmp_path}: download plain_text/train-*.parquet" in str(caught.value)
    assert f"uoft-cs/cifar10 into {tmp_path / 'cifar10'}" in str(caught.value)
    with pytest.raises(DatasetError, match=r"no svhn_10k in .* it is on no hub"):
        load_dataset("svhn_10k", data_dir=tmp_path)


def test_images_of_another_set_are_refused(mnist_like) -> None:
    (mnist_like[0] / "mnist").rename(mnist_like[0] / "cifar10")
    (mnist_like[0] / "svhn").symlink_to(mnist_like[0] / "cifar10")
    for name in ("cifar10", "svhn"):
        with pytest.raises(DatasetError, match=r"shape \(3, 32, 32\) for .* got \(1, 28, 28\)"):
            load_dataset(name, "test", data_dir=mnist_like[0])


def test_importing_the_room_imports_no_data_library() -> None:
    program = (
        "import sys, steadygrad.datasets\n"
        "heavy = {'datasets', 'PIL', 'pyarrow', 'sklearn', 'huggingface_hub', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


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
    next(iter(resumed))  # a loop that is left begins its epoch again
    assert torch.equal(torch.cat([images for images, _ in resumed]), flat(make(), 2)[0])


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

"""Laws of steadygrad.datasets.loading: splits, limits and refusals."""

import subprocess
import sys

import pytest
import torch

from steadygrad.datasets import (
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

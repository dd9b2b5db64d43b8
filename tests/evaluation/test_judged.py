"""Any model, named as everywhere, with images that fit it."""

import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from steadygrad.errors import DatasetError, HyperparameterError, ModelError
from steadygrad.evaluation.judged import load_judged
from steadygrad.evaluation.provenance import model_digest
from steadygrad.training import TrainingConfig, train


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of somebody else's, with a network of 8x8 images and ten classes."""
    (tmp_path / "their_networks.py").write_text(
        "import torch\n"
        "def build(width: int = 4):\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, width),\n"
        "        torch.nn.GELU(), torch.nn.Linear(width, 10))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)
    return "their_networks:build,width=6"


def test_a_model_from_outside(outside: str) -> None:
    judged = load_judged(outside, dataset="digits", limit=20)
    assert (judged.name, judged.run, len(judged.images)) == (outside, None, 20)
    assert judged.digest == model_digest(judged.model)
    assert not judged.model.training
    assert len(judged.training_images()) > 1000


def test_it_needs_a_dataset(outside: str) -> None:
    with pytest.raises(HyperparameterError, match="expected a dataset to measure their_networks"):
        load_judged(outside, limit=20)


def given_folder(folder: Path) -> str:
    """Return a data set of one white 28x28 image in each of ten classes."""
    for number in range(10):
        place = folder / "images" / "test" / str(number)
        place.mkdir(parents=True)
        Image.new("L", (28, 28), 255).save(place / "white.png")
    return str(folder / "images")


def test_images_must_fit(outside: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot take images of 1x28x28"):
        load_judged(outside, dataset=given_folder(tmp_path), limit=4)


def split_folder(folder: Path, **counts: int) -> str:
    """Return a data set of 8x8 images, so many for each of ten classes in each split."""
    for split, count in counts.items():
        for number, label in product(range(count), range(10)):
            place = folder / split / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 20 * label + number).save(place / f"{number}.png")
    return str(folder)


def trained(data: str, out: Path, **settings: int) -> Path:
    few = {"epochs": 1, "limit_train": 8, "device": "cpu"}
    train(TrainingConfig.from_dict({"data": data, "model": "digits-gelu", **few, **settings}), out)
    return out


def test_a_run_on_a_folder_is_measured_on_the_validation_images_in_it(tmp_path: Path) -> None:
    run = trained(split_folder(tmp_path / "photos", train=2, val=1), tmp_path / "run")
    judged = load_judged(run, split="validation", limit=None)
    assert (judged.images.split, len(judged.images)) == ("validation", 10)


def test_a_run_that_held_none_out_of_a_set_without_is_refused(tmp_path: Path) -> None:
    run = trained("digits", tmp_path / "run")
    for dataset in (None, "digits"):
        with pytest.raises(HyperparameterError, match="trained without a validation split"):
            load_judged(run, dataset=dataset, split="validation", limit=4)
    photos = trained(split_folder(tmp_path / "photos", train=2), tmp_path / "other")
    with pytest.raises(DatasetError, match=r"no validation split of photos in .*; it has train"):
        load_judged(photos, split="validation", limit=4)


def test_what_a_run_held_out_is_cut_from_its_own_data_alone(tmp_path: Path) -> None:
    run = trained("digits", tmp_path / "run", validation_size=30)
    for dataset in (None, "digits"):
        own = load_judged(run, dataset=dataset, split="validation", limit=None)
        assert len(own.images) == 30
    other = split_folder(tmp_path / "photos", train=4, val=1)
    for split, count in (("validation", 10), ("train", 40)):
        assert len(load_judged(run, dataset=other, split=split, limit=None).images) == count


def test_the_training_images_are_of_the_folder_that_was_given(outside: str, tmp_path: Path) -> None:
    folder = tmp_path / "digits"  # the name of a registered set too
    for split, count in (("train", 2), ("test", 1)):
        for number, label in product(range(count), range(10)):
            place = folder / split / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.new("L", (12, 12), 255).save(place / f"{number}.png")
    judged = load_judged(outside, dataset=str(folder), limit=4, image_size=8)
    train = judged.training_images()
    assert (len(train), train.input_shape) == (20, (1, 8, 8))
    assert train.images().min() == 1


def test_weights_take_the_place_of_its_own(outside: str, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.GELU(), nn.Linear(6, 10))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    judged = load_judged(outside, weights=tmp_path / "w.pt", dataset="digits", limit=4)
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(judged.model(images), network(images))

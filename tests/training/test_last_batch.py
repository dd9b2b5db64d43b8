"""A last batch of one image joins the one before where batch normalization cannot take it."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError
from steadygrad.training import LoaderImages, TrainingConfig, train
from steadygrad.training.last_batch import joins_last_image, with_last_image_joined

DENSE = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 2))


def images(n: int) -> ImageDataset:
    pixels = torch.randint(256, (n, 1, 4, 4), dtype=torch.uint8)
    return ImageDataset(
        name="made up",
        split="train",
        pixels=pixels,
        labels=torch.arange(n) % 2,
        class_names=("a", "b"),
    )


@pytest.mark.parametrize(
    ("model", "n", "batch_size", "joins"),
    [
        (DENSE, 8, 7, True),
        (DENSE, 8, 4, False),
        (DENSE, 9, 4, True),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), 8, 7, False),
        (nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 2)), 8, 7, False),
    ],
)
def test_joins_only_what_the_model_could_not_take(
    model: nn.Module, n: int, batch_size: int, joins: bool
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert joins_last_image(model, images(n), batch_size) == joins
    loader = DataLoader(TensorDataset(images(n).images(), images(n).labels), batch_size)
    assert joins_last_image(model, LoaderImages(loader, 2), 64) == joins
    without = DataLoader(loader.dataset, batch_size, drop_last=True)
    assert not joins_last_image(model, LoaderImages(without, 2), 64)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("n", "batch_size"), [(8, 1), (1, 8)])
def test_batches_that_are_all_of_one_image_are_refused(n: int, batch_size: int) -> None:
    with pytest.raises(HyperparameterError, match="batches of at least 2 images"):
        joins_last_image(DENSE, images(n), batch_size)


def test_every_image_is_met_once_and_in_order() -> None:
    numbers = torch.arange(7)
    joined = list(with_last_image_joined(zip(numbers.split(3), numbers.split(3), strict=True)))
    assert [len(part) for part, _ in joined] == [3, 4]
    assert torch.equal(torch.cat([part for part, _ in joined]), numbers)
    assert torch.equal(torch.cat([part for _, part in joined]), numbers)


def test_a_run_with_a_lone_last_image_trains_and_resumes(tmp_path: Path) -> None:
    def config(epochs: int) -> TrainingConfig:
        return TrainingConfig(
            data="digits",
            model="ross2018-gelu",
            epochs=epochs,
            limit_train=57,
            batch_size=28,
            seed=0,
        )

    whole = train(config(2), tmp_path / "whole")
    train(config(1), tmp_path / "two")
    resumed = train(config(2), tmp_path / "two", resume=True)
    assert whole.is_finished and len(whole.history) == 2
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])

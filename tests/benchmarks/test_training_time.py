"""Training on packed digits: the file comes back as it was, and real digits are trained whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
from device_suite.training_time import EPOCHS, Digits, measure_training, training_measurements

CPU = torch.device("cpu")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    made = Digits.load(None, CPU, is_tiny=True)
    path = tmp_path / "digits.npz"
    names = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez_compressed(path, **{name: getattr(made, name).numpy() for name in names})
    return path


def test_a_packed_file_comes_back(packed: Path) -> None:
    digits, made = Digits.load(packed, CPU, is_tiny=False), Digits.load(None, CPU, is_tiny=True)
    assert digits.is_real
    assert torch.equal(digits.train_images, made.train_images)
    assert torch.equal(digits.test_labels, made.test_labels)


def test_real_digits_are_trained_for_all_epochs_and_tested(packed: Path) -> None:
    values = measure_training("real", packed, CPU, kind="eager", is_tiny=True)
    assert values["epochs"] == EPOCHS
    assert 0 <= values["clean_accuracy"] <= 1
    assert values["is_finite"]


def test_made_up_digits_have_no_accuracy() -> None:
    values = measure_training("complex", None, CPU, kind="eager", is_tiny=True)
    assert "clean_accuracy" not in values
    assert values["seconds_for_15_epochs"] >= values["seconds_an_epoch"]


def test_a_graph_is_for_cuda_alone() -> None:
    keys = [one.key for one in training_measurements(CPU, None, is_tiny=True)]
    assert keys == ["training/mnist-complex/eager", "training/mnist-real/eager"]
    keys = [one.key for one in training_measurements(torch.device("cuda"), None, is_tiny=True)]
    assert "training/mnist-complex/recorded gradient" in keys

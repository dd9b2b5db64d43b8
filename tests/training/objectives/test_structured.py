"""Laws of steadygrad.training.objectives.structured: which covariance a configuration means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.covariance import (
    Covariance,
    ExponentialCovariance,
    IdentityCovariance,
    RunningCovariance,
    StationaryCovariance,
    dataset_covariance,
    save_covariance,
)
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.penalties import (
    DoubleBackprop,
    FiniteDifference,
    SquaredNormPenalty,
    StructuredPenalty,
)
from steadygrad.penalties.perturbation_source import deepfool_source, pgd_source
from steadygrad.training import Penalized, TrainingConfig, build_objective, train

Make = Callable[..., TrainingConfig]
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", "train", limit=40)


def penalty_of(config: TrainingConfig, data: ImageDataset) -> StructuredPenalty:
    objective = build_objective(config, data)
    assert isinstance(objective, Penalized)
    assert isinstance(objective.penalty, StructuredPenalty)
    return objective.penalty


def covariance_of(config: Make, data: ImageDataset, **settings: Any) -> Covariance:
    penalty = penalty_of(config(penalty="sgr", strength=1, **settings), data)
    assert penalty.source is None
    return penalty.covariance


def test_by_default_a_stationary_covariance_follows_the_signs_of_the_gradients(
    config: Make, digits: ImageDataset
) -> None:
    penalty = penalty_of(config(penalty="sgr", strength=0.25), digits)
    assert isinstance(penalty.covariance, RunningCovariance)
    assert (penalty.strength, penalty.source, penalty.every) == (0.25, "fgsm", 1)
    assert repr(penalty.covariance) == repr(RunningCovariance("stationary", decay=0.1))


def test_settings_reach_the_penalty(config: Make, digits: ImageDataset) -> None:
    penalty = penalty_of(
        config(
            penalty="sgr",
            strength=1,
            covariance="block",
            covariance_source="deepfool",
            covariance_decay=0.5,
            covariance_every=3,
            backend="finite_difference",
            difference_step=0.01,
        ),
        digits,
    )
    assert repr(penalty.covariance) == repr(RunningCovariance("block", decay=0.5))
    assert (penalty.source, penalty.every) == ("deepfool", 3)
    assert penalty.backend == FiniteDifference(step_size=0.01)


def test_eps_and_steps_of_the_source_are_the_users(config: Make, digits: ImageDataset) -> None:
    sources = [
        penalty_of(
            config(penalty="sgr", strength=1, covariance_source=name, **extra), digits
        ).source
        for name, extra in (
            ("pgd", {"covariance_eps": 0.1}),
            ("pgd", {"covariance_steps": 4}),
            ("deepfool", {"covariance_steps": 4}),
            ("pgd", {}),
        )
    ]
    assert sources == [pgd_source(eps=0.1), pgd_source(steps=4), deepfool_source(steps=4), "pgd"]


def test_the_running_mean_is_counted_in_if_asked(config: Make, digits: ImageDataset) -> None:
    settings = {"penalty": "sgr", "strength": 1}
    assert penalty_of(config(**settings), digits).mean is None
    assert penalty_of(config(covariance_mean=True, **settings), digits).mean == "running"


def test_a_run_resumed_with_the_running_mean_equals_an_uninterrupted_one(
    config: Make, tmp_path: Path
) -> None:
    def settings(epochs: int, mean: bool = True) -> TrainingConfig:
        return config(
            penalty="sgr", strength=0.05, covariance_mean=mean, covariance_every=2, epochs=epochs
        )

    train(settings(1), tmp_path / "resumed")
    train(settings(2), tmp_path / "resumed", resume=True)
    train(settings(2), tmp_path / "straight")
    train(settings(2, mean=False), tmp_path / "centred")
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("resumed", "straight", "centred")
    ]
    assert weights[0] == weights[1] != weights[2]


def test_fixed_covariances(config: Make, digits: ImageDataset, tmp_path: Path) -> None:
    file = tmp_path / "sigma.safetensors"
    save_covariance(file, IdentityCovariance(SHAPE, variance=3.0))
    assert isinstance(covariance_of(config, digits, covariance="identity"), IdentityCovariance)
    exponential = covariance_of(config, digits, covariance="exponential", decay_length=2)
    of_digits = covariance_of(config, digits, covariance="dataset")
    assert isinstance(of_digits, StationaryCovariance)
    of_file = covariance_of(config, digits, covariance=str(file))
    torch.testing.assert_close(exponential.dense(), ExponentialCovariance(SHAPE, 2.0).dense())
    assert of_file.mean_diagonal == 3.0
    # The unbiased average differs from the default, biased one only far from the diagonal.
    biased = dataset_covariance(digits.pixels).dense()
    assert torch.corrcoef(torch.stack((of_digits.dense().ravel(), biased.ravel())))[0, 1] > 0.9


def test_gn_is_the_squared_l2_norm_and_sgr_with_the_identity_to_the_bit(
    config: Make, tmp_path: Path
) -> None:
    assert build_objective(config(penalty="gn", strength=0.1)) == Penalized(
        SquaredNormPenalty(strength=0.1, norm="l2", backend=DoubleBackprop())
    )
    weights = []
    for name, settings in (
        ("gn", {"penalty": "gn"}),
        ("l2", {"penalty": "l2"}),
        ("sgr", {"penalty": "sgr", "covariance": "identity"}),
    ):
        train(config(strength=0.1, epochs=1, **settings), tmp_path / name)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_a_covariance_file_that_does_not_fit_stops_the_run_before_it_begins(
    config: Make, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save_covariance(other, IdentityCovariance((3, 8, 8)))
    missing = tmp_path / "missing.safetensors"
    for file, error, message in (
        (other, ShapeError, r"covariance of images \(1, 8, 8\), got \(3, 8, 8\)"),
        (missing, CheckpointError, "no covariance file at"),
    ):
        with pytest.raises(error, match=message):
            train(config(penalty="sgr", strength=1, covariance=str(file)), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_the_training_set_is_asked_for(config: Make) -> None:
    with pytest.raises(HyperparameterError, match="expected the training set"):
        build_objective(config(penalty="sgr", strength=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"penalty": "gn"},
        {"penalty": "sgr"},
        {"penalty": "sgr", "covariance_source": "pgd"},
        {"penalty": "sgr", "covariance": "exponential"},
    ],
    ids=str,
)
def test_a_finite_difference_can_prove_itself(
    config: Make, tmp_path: Path, settings: dict[str, Any]
) -> None:
    difference = {"strength": 0.1, "backend": "finite_difference", "epochs": 1} | settings
    plain = train(config(**difference), tmp_path / "plain")
    checked = train(config(difference_check=0.9, **difference), tmp_path / "checked")
    # The check leaves no trace.
    assert (plain.folder / "model.safetensors").read_bytes() == (
        checked.folder / "model.safetensors"
    ).read_bytes()
    with pytest.raises(HyperparameterError, match=r"within cosine 0\.999 of the exact one"):
        train(config(difference_check=0.999, difference_step=30, **difference), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_the_check_leaves_running_statistics_alone(
    config: Make, tmp_path: Path, build_tiny: Callable[[Callable[[], nn.Module]], None]
) -> None:
    build_tiny(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 10)
        )
    )
    difference = {"penalty": "sgr", "strength": 0.01, "backend": "finite_difference", "epochs": 1}
    runs = [
        train(config(**difference, **extra), tmp_path / name)
        for name, extra in (("plain", {}), ("checked", {"difference_check": 0.01}))
    ]
    first, second = ((run.folder / "model.safetensors").read_bytes() for run in runs)
    assert first == second

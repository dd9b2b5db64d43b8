"""Laws of steadygrad.training.objectives.training_attack: what the training images are under."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import FGSM, PGD, LongRangeCorrelated, WhiteNoise
from steadygrad.covariance import IdentityCovariance, build_covariance, save_covariance
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.training import (
    Adversarial,
    CrossEntropy,
    Penalized,
    TrainingConfig,
    build_objective,
    train,
)

Make = Callable[..., TrainingConfig]
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", "train", limit=200)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def adversarial(config: TrainingConfig, data: ImageDataset | None = None) -> Adversarial:
    objective = build_objective(config, data)
    assert isinstance(objective, Adversarial)
    return objective


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"adversarial": "fgsm"}, FGSM(eps=0.3)),
        ({"adversarial": "pgd", "adversarial_steps": 7}, PGD(eps=0.3, steps=7)),
        ({"adversarial": "white-noise"}, WhiteNoise(eps=0.3, samples=1)),
        ({"adversarial": "lrc"}, LongRangeCorrelated(eps=0.3, decay_length=8, samples=1)),
        (
            {"adversarial": "lrc", "adversarial_decay_length": 2},
            LongRangeCorrelated(eps=0.3, decay_length=2, samples=1),
        ),
    ],
    ids=str,
)
def test_settings_reach_the_attack(config: Make, settings: dict[str, Any], expected: Any) -> None:
    objective = adversarial(config(adversarial_eps=0.3, adversarial_fraction=0.5, **settings))
    assert objective.attack == expected
    assert objective.fraction == 0.5


def test_noise_of_the_training_sets_covariance_or_that_of_a_file(
    config: Make, digits: ImageDataset, tmp_path: Path
) -> None:
    file = tmp_path / "sigma.safetensors"
    save_covariance(file, IdentityCovariance(SHAPE, variance=4.0))
    covariances = []
    for name in ("dataset", str(file)):
        settings = config(adversarial="lrc", adversarial_eps=0.3, adversarial_covariance=name)
        attack = adversarial(settings, digits).attack
        assert isinstance(attack, LongRangeCorrelated)
        assert attack.covariance is not None
        covariances.append(attack.covariance.dense())
    of_digits = build_covariance("dataset", SHAPE, images=digits.pixels)
    torch.testing.assert_close(covariances[0], of_digits.dense())
    # eps alone decides how strong the noise is: a file's scale is taken out.
    torch.testing.assert_close(covariances[1], torch.eye(64, dtype=torch.float64))
    with pytest.raises(HyperparameterError, match="expected the training set along with adv"):
        build_objective(settings)


def test_a_noise_covariance_that_does_not_fit_stops_the_run_before_it_begins(
    config: Make, tmp_path: Path
) -> None:
    other, missing = tmp_path / "other.safetensors", tmp_path / "missing.safetensors"
    save_covariance(other, IdentityCovariance((3, 8, 8)))
    for file, error, message in (
        (other, ShapeError, r"covariance of images \(1, 8, 8\), got \(3, 8, 8\)"),
        (missing, CheckpointError, "no covariance file at"),
    ):
        settings = config(adversarial="lrc", adversarial_eps=0.3, adversarial_covariance=str(file))
        with pytest.raises(error, match=message):
            train(settings, tmp_path / "run")
        assert not (tmp_path / "run").exists()


class Asked(nn.Module):
    """A network that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.seen = nn.Linear(64, 10), list[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        logits: Tensor = self.linear(images.flatten(start_dim=1))
        return logits


@pytest.mark.parametrize("name", ["lrc", "white-noise"])
def test_noise_asks_the_model_nothing_and_its_share_of_the_batch_is_correlated_as_set(
    config: Make, name: str
) -> None:
    model, labels = Asked(), torch.zeros(4000, dtype=torch.int64)
    images = torch.full((4000, *SHAPE), 0.5)
    settings = config(adversarial=name, adversarial_eps=0.05, adversarial_fraction=0.5)
    adversarial(settings)(model, images, labels, generator=seeded())

    (seen,) = model.seen  # once, for the loss
    assert torch.equal(seen[2000:], images[2000:])
    noise = (seen[:2000] - 0.5) / 0.05
    # A product of two correlated unit Gaussians has standard deviation sqrt(1 + rho^2).
    expected = torch.exp(torch.tensor(-1 / 8)) if name == "lrc" else torch.tensor(0.0)
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean(dim=(0, 1))
    standard_error = ((1 + expected**2) / 2000).sqrt()
    assert ((neighbours - expected).abs() < 5 * standard_error).all()
    variances = noise.square().mean(dim=(0, 1))
    assert ((variances - 1).abs() < 5 * (2 / 2000) ** 0.5).all()


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_half_the_batch_is_attacked_away_from_the_predicted_label(config: Make, name: str) -> None:
    model, images = Asked(), 0.2 + 0.6 * torch.rand(20, *SHAPE, generator=seeded())
    predicted = model(images).argmax(dim=1)
    labels = (predicted + 1) % 10
    settings = {"adversarial_eps": 0.1, "adversarial_fraction": 0.5}
    objective = adversarial(config(adversarial=name, adversarial_from="predicted", **settings))
    result = objective(model, images, labels, generator=seeded())

    trained_on = model.seen[-1]
    assert torch.equal(trained_on[10:], images[10:])
    attack = FGSM(eps=0.1) if name == "fgsm" else PGD(eps=0.1, steps=4)
    expected = attack(model, images[:10], predicted[:10], generator=seeded())
    assert torch.equal(trained_on[:10], expected)
    assert ((expected - images[:10]).abs().amax(dim=(1, 2, 3)) > 0.09).all()
    torch.testing.assert_close(result.loss, cross_entropy(model(trained_on), labels))


def test_a_penalty_is_taken_at_noisy_images(config: Make) -> None:
    noisy = adversarial(config(adversarial="lrc", adversarial_eps=0.3, penalty="gn", strength=0.1))
    assert isinstance(noisy.objective, Penalized)
    assert adversarial(config(adversarial="lrc", adversarial_eps=0.3)).objective == CrossEntropy()


def test_a_resumed_run_with_noise_equals_an_uninterrupted_one(config: Make, tmp_path: Path) -> None:
    def settings(epochs: int, eps: float = 0.3) -> TrainingConfig:
        return config(
            adversarial="lrc", adversarial_eps=eps, adversarial_fraction=0.5, epochs=epochs
        )

    train(settings(1), tmp_path / "resumed")
    train(settings(2), tmp_path / "resumed", resume=True)
    train(settings(2), tmp_path / "straight")
    train(settings(2, eps=0.01), tmp_path / "other")
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("resumed", "straight", "other")
    ]
    assert weights[0] == weights[1] != weights[2]

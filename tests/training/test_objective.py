"""Laws of steadygrad.training.objective: what a step minimises."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import FGSM, PGD, LongRangeCorrelated, Mixture
from steadygrad.covariance import (
    DataFacts,
    ExponentialCovariance,
    IdentityCovariance,
    RunningCovariance,
    StationaryCovariance,
    built,
    dataset_covariance,
    save_covariance,
)
from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.penalties import PenalizedLoss, SquaredNormPenalty, StructuredPenalty
from steadygrad.training import Objective, TrainingConfig, data_facts, train

Make = Callable[..., TrainingConfig]
SHAPE = (1, 8, 8)
FACTS = DataFacts(SHAPE)
IMAGES = 0.2 + 0.6 * torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture
def model() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 10)
        )


@pytest.fixture(scope="module")
def digits_40() -> ImageDataset:
    return load_dataset("digits", "train", limit=40)


@dataclass(frozen=True)
class Recorder:
    """An attack that paints images black and notes how it was called."""

    modes: list[bool] = field(default_factory=list)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        self.modes.extend(module.training for module in model.modules())
        return torch.zeros_like(images)


@dataclass
class Learning:
    """A penalty that counts its calls."""

    calls: int = 0

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, loss: Any = None
    ) -> PenalizedLoss:
        self.calls += 1
        logits = model(images)
        plain = cross_entropy(logits, labels)
        return PenalizedLoss(2 * plain, plain, plain, logits)

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


def test_the_plain_objective_is_torchs_batch_mean(config: Make, model: nn.Module) -> None:
    result = Objective(config(), FACTS)(model.eval(), IMAGES, LABELS)
    torch.testing.assert_close(result.loss, cross_entropy(model(IMAGES), LABELS))
    assert torch.equal(result.loss, result.data_loss)
    assert result.penalty == 0
    assert torch.equal(result.logits, model(IMAGES))


def test_the_loss_is_the_configurations(config: Make, model: nn.Module) -> None:
    model.eval()
    smoothed = cross_entropy(model(IMAGES), LABELS, label_smoothing=0.3)
    for penalty in ("none", "gn:strength=0.5"):
        objective = Objective(config(loss="cross-entropy:smoothing=0.3", penalty=penalty), FACTS)
        torch.testing.assert_close(objective(model, IMAGES, LABELS).data_loss, smoothed)


def test_a_penalty_of_strength_zero_is_the_plain_loss_to_the_bit(
    config: Make, model: nn.Module
) -> None:
    results = [
        Objective(config(penalty=penalty), FACTS)(model.eval(), IMAGES, LABELS)
        for penalty in ("none", "squared-norm:strength=0")
    ]
    assert torch.equal(results[0].loss, results[1].loss)
    gradients = [torch.autograd.grad(r.loss, list(model.parameters())) for r in results]
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 2.0])
def test_a_share_multiplies_the_penalty_alone(config: Make, model: nn.Module, share: float) -> None:
    objective = Objective(config(penalty="squared-norm:strength=0.5"), FACTS)
    full = objective(model.eval(), IMAGES, LABELS)
    part = objective(model, IMAGES, LABELS, share=share)
    torch.testing.assert_close(part.penalty, share * full.penalty)
    torch.testing.assert_close(part.loss, full.data_loss + share * full.penalty)
    assert torch.equal(part.data_loss, full.data_loss)
    gradients = [
        torch.autograd.grad(loss, list(model.parameters()))
        for loss in (part.loss, full.data_loss + share * full.penalty)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_is_at_the_attacked_images_with_the_true_labels(
    config: Make, model: nn.Module
) -> None:
    model.eval()
    expected = cross_entropy(model(FGSM(eps=0.1)(model, IMAGES, LABELS)), LABELS)
    result = Objective(config(attack="fgsm:eps=0.1"), FACTS)(model, IMAGES, LABELS)
    torch.testing.assert_close(result.loss, expected)
    assert result.loss > cross_entropy(model(IMAGES), LABELS)
    assert result.penalty == 0


def test_a_penalty_is_taken_at_the_attacked_images(config: Make, model: nn.Module) -> None:
    model.eval()
    penalty = SquaredNormPenalty(strength=0.3)
    expected = penalty(model, torch.zeros_like(IMAGES), LABELS)
    result = Objective(config(penalty=penalty, attack=Recorder()), FACTS)(model, IMAGES, LABELS)
    torch.testing.assert_close(result.penalty, expected.penalty)
    assert result.penalty > 0


def test_crafting_moves_no_statistics_and_no_mode(config: Make, model: nn.Sequential) -> None:
    model.train()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = model[2].running_mean.clone()
    model(IMAGES * 0)
    after_one_pass = model[2].running_mean.clone()
    model[2].running_mean.copy_(before)

    recorder = Recorder()
    Objective(config(attack=recorder), FACTS)(model, IMAGES, LABELS)
    assert not any(recorder.modes)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[2].running_mean, after_one_pass)

    model[2].running_mean.copy_(before)
    Objective(config(attack=PGD(eps=0.1, steps=3)), FACTS)(model, IMAGES, LABELS)
    assert model[2].num_batches_tracked == 3
    assert all(parameter.grad is None for parameter in model.parameters())


def test_draws_come_from_the_generator_alone(config: Make, model: nn.Module) -> None:
    objective = Objective(config(attack="pgd:eps=0.1,steps=2"), FACTS)
    model.eval()
    global_state = torch.get_rng_state()

    def loss(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return objective(model, IMAGES, LABELS, generator=generator).loss

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))
    assert torch.equal(torch.get_rng_state(), global_state)


def test_a_learning_penalty_carries_its_state_under_an_attack(
    config: Make, model: nn.Module
) -> None:
    first = Objective(config(penalty=Learning(), attack=Recorder()), FACTS)
    result = first(model, IMAGES, LABELS, share=0.5)
    torch.testing.assert_close(result.penalty, 0.5 * result.data_loss)
    second = Objective(config(penalty=Learning(), attack=Recorder()), FACTS)
    second.load_state_dict(first.state_dict())
    assert second.penalty.calls == 1
    for penalty in ("none", "squared-norm:strength=1"):
        stateless = Objective(config(penalty=penalty), FACTS)
        stateless.load_state_dict(stateless.state_dict())
        assert stateless.state_dict() == {}


# Parts that need the training set.


def structured(config: Make, data: ImageDataset, penalty: str) -> StructuredPenalty:
    found = Objective(config(penalty=penalty), data_facts(data)).penalty
    assert isinstance(found, StructuredPenalty)
    return found


def test_by_default_a_stationary_covariance_follows_the_signs_of_the_gradients(
    config: Make, digits_40: ImageDataset
) -> None:
    penalty = structured(config, digits_40, "sgr:strength=0.25")
    assert penalty.strength == 0.25
    assert repr(penalty.covariance) == repr(RunningCovariance("stationary", decay=0.1))
    assert penalty.every == 1 and penalty.mean is None
    learning = structured(
        config, digits_40, "sgr:strength=1,covariance=block,covariance.decay=0.5,"
        "covariance.every=3,covariance.mean=true,covariance.source=deepfool",
    )  # fmt: skip
    assert repr(learning.covariance) == repr(RunningCovariance("block", decay=0.5))
    assert (learning.every, learning.mean) == (3, "running")


def test_two_runs_do_not_share_what_a_covariance_learns(
    config: Make, digits_40: ImageDataset
) -> None:
    settings = config(penalty="sgr:strength=1")
    one, other = (Objective(settings, data_facts(digits_40)).penalty for _ in range(2))
    assert one.covariance is not other.covariance


def test_fixed_covariances(config: Make, digits_40: ImageDataset, tmp_path: Path) -> None:
    file = tmp_path / "sigma.safetensors"
    save_covariance(file, IdentityCovariance(SHAPE, variance=3.0))

    def covariance(text: str) -> Any:
        return structured(config, digits_40, f"sgr:strength=1,covariance={text}").covariance

    assert isinstance(covariance("identity"), IdentityCovariance)
    expected = ExponentialCovariance(SHAPE, 2.0).dense()
    torch.testing.assert_close(covariance("exponential:2").dense(), expected)
    of_digits = covariance("dataset")
    assert isinstance(of_digits, StationaryCovariance)
    assert covariance(str(file)).mean_diagonal == 3.0
    # The unbiased average differs from the default, biased one only far from the diagonal.
    biased = dataset_covariance(digits_40.pixels).dense()
    both = torch.stack((of_digits.dense().ravel(), biased.ravel()))
    assert torch.corrcoef(both)[0, 1] > 0.9


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: Mixture(attack=a, fraction=0.5)])
def test_noise_of_the_training_sets_covariance_or_of_a_file(
    config: Make, digits_40: ImageDataset, tmp_path: Path, wrap: Callable[[Any], Any]
) -> None:
    file = tmp_path / "sigma.safetensors"
    save_covariance(file, IdentityCovariance(SHAPE, variance=4.0))
    facts, covariances = data_facts(digits_40), []
    for text in ("dataset", str(file), "exponential:4"):
        noise = LongRangeCorrelated(eps=0.3, covariance=text, samples=1)
        attack = Objective(config(attack=wrap(noise)), facts).attack
        inner = getattr(attack, "attack", attack)
        covariances.append(inner.covariance.dense())
    of_digits = built("dataset", facts).normalized().dense()
    torch.testing.assert_close(covariances[0], of_digits)
    # eps alone decides how strong the noise is: a file's scale is taken out.
    torch.testing.assert_close(covariances[1], torch.eye(64, dtype=torch.float64))
    torch.testing.assert_close(covariances[2], ExponentialCovariance(SHAPE, 4.0).dense())


@pytest.mark.parametrize("key", ["penalty", "attack"])
def test_a_covariance_file_that_does_not_fit_stops_the_run_before_it_begins(
    config: Make, tmp_path: Path, key: str
) -> None:
    other, missing = tmp_path / "other.safetensors", tmp_path / "missing.safetensors"
    save_covariance(other, IdentityCovariance((3, 8, 8)))
    head = {"penalty": "sgr:strength=1", "attack": "lrc:eps=0.3"}[key]
    for file, error, message in (
        (other, ShapeError, r"covariance of images \(1, 8, 8\), got \(3, 8, 8\)"),
        (missing, CheckpointError, "no covariance file at"),
    ):
        with pytest.raises(error, match=message):
            train(config(**{key: f"{head},covariance={file}"}), tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"penalty": "sgr:strength=1,covariance=dataset"},
        {"attack": "lrc:eps=0.1,covariance=dataset"},
    ],
    ids=str,
)
def test_the_training_images_are_asked_for(config: Make, settings: dict[str, str]) -> None:
    with pytest.raises(HyperparameterError, match="training images"):
        Objective(config(**settings), FACTS)


def test_gn_is_the_squared_l2_norm_and_sgr_with_the_identity_to_the_bit(
    config: Make, tmp_path: Path
) -> None:
    weights = []
    for name, penalty in (
        ("gn", "gn:strength=0.1"),
        ("l2", "squared-norm:strength=0.1,norm=l2"),
        ("sgr", "sgr:strength=0.1,covariance=identity"),
    ):
        train(config(epochs=1, penalty=penalty), tmp_path / name)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]

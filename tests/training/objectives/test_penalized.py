"""Laws of steadygrad.training.objectives: cross-entropy, penalised, and their registry."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.penalties import (
    DoubleBackprop,
    FiniteDifference,
    PenalizedLoss,
    SquaredNormPenalty,
)
from steadygrad.training import (
    Adversarial,
    CrossEntropy,
    Penalized,
    TrainingConfig,
    build_objective,
)

IMAGES = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(9, 3))


def settings(**changes: Any) -> TrainingConfig:
    return TrainingConfig(dataset="digits", model="digits-real", **changes)


def test_cross_entropy_is_torchs_batch_mean(model: nn.Module) -> None:
    result = CrossEntropy()(model, IMAGES, LABELS)
    torch.testing.assert_close(result.loss, cross_entropy(model(IMAGES), LABELS))
    assert torch.equal(result.loss, result.data_loss)
    assert result.penalty == 0
    assert torch.equal(result.logits, model(IMAGES))


def test_a_penalty_of_strength_zero_is_the_plain_loss_to_the_bit(model: nn.Module) -> None:
    plain = CrossEntropy()(model, IMAGES, LABELS)
    penalised = Penalized(SquaredNormPenalty(strength=0.0))(model, IMAGES, LABELS)
    assert torch.equal(penalised.loss, plain.loss)
    gradients = [
        torch.autograd.grad(result.loss, list(model.parameters())) for result in (plain, penalised)
    ]
    assert all(map(torch.equal, *gradients))


@dataclass
class Learning:
    """A penalty that counts its calls."""

    calls: int = 0

    def __call__(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, /
    ) -> PenalizedLoss:
        self.calls += 1
        return CrossEntropy()(model, images, labels)

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


def test_a_learning_penalty_carries_its_state_through_the_objectives(model: nn.Module) -> None:
    def no_attack(
        model: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        return images

    def objective(penalty: Learning) -> Adversarial:
        return Adversarial(attack=no_attack, objective=Penalized(penalty))

    first = objective(Learning())
    first(model, IMAGES, LABELS)
    second = Learning()
    objective(second).load_state_dict(first.state_dict())
    assert second.calls == 1
    stateless = Penalized(SquaredNormPenalty(strength=1.0))
    stateless.load_state_dict(stateless.state_dict())
    assert stateless.state_dict() == Adversarial(attack=no_attack).state_dict() == {}


def test_the_configuration_decides_the_objective() -> None:
    assert build_objective(settings()) == CrossEntropy()
    exact = build_objective(settings(penalty="l2", strength=0.5))
    assert exact == Penalized(SquaredNormPenalty(strength=0.5, norm="l2", backend=DoubleBackprop()))
    difference = build_objective(
        settings(
            penalty="linf",
            strength=0.5,
            backend="finite_difference",
            difference_step=0.1,
            difference_order=2,
        )
    )
    backend = FiniteDifference(step_size=0.1, order=2)
    assert difference == Penalized(SquaredNormPenalty(strength=0.5, norm="linf", backend=backend))


def test_penalty_and_attack_combine() -> None:
    objective = build_objective(
        settings(
            penalty="l1",
            strength=0.5,
            adversarial="pgd",
            adversarial_eps=0.2,
            adversarial_steps=3,
            adversarial_fraction=0.5,
            adversarial_from="predicted",
        )
    )
    assert isinstance(objective, Adversarial)
    assert isinstance(objective.objective, Penalized)
    assert (objective.fraction, objective.attack_from) == (0.5, "predicted")
    assert isinstance(objective.attack, PGD)
    assert (objective.attack.eps, objective.attack.steps) == (0.2, 3)

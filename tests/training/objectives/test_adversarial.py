"""Laws of steadygrad.training.objectives.adversarial."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD
from steadygrad.errors import HyperparameterError
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.training import Adversarial, CrossEntropy, Penalized

IMAGES = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 3)
        )


@dataclass
class Recorder:
    """An attack that paints images black and notes how it was called."""

    labels: list[Tensor] = field(default_factory=list)
    modes: list[bool] = field(default_factory=list)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        self.labels.append(labels)
        self.modes += [module.training for module in model.modules()]
        return torch.zeros_like(images)


@pytest.mark.parametrize(("fraction", "attacked"), [(1.0, 5), (0.5, 3), (0.2, 1), (0.05, 0)])
def test_the_given_share_of_the_batch_is_attacked(
    model: nn.Module, fraction: float, attacked: int
) -> None:
    mixed = IMAGES.clone()
    mixed[:attacked] = 0
    expected = CrossEntropy()(model.eval(), mixed, LABELS)
    result = Adversarial(attack=Recorder(), fraction=fraction)(model, IMAGES, LABELS)
    assert torch.equal(result.loss, expected.loss)
    assert torch.equal(result.logits, expected.logits)


def test_the_loss_is_at_the_attacked_images_with_the_true_labels(model: nn.Module) -> None:
    attack = FGSM(eps=0.1)
    model.eval()
    expected = CrossEntropy()(model, attack(model, IMAGES, LABELS), LABELS)
    result = Adversarial(attack=attack)(model, IMAGES, LABELS)
    assert torch.equal(result.loss, expected.loss)
    assert result.loss > CrossEntropy()(model, IMAGES, LABELS).loss
    assert result.penalty == 0


def test_a_penalty_is_taken_at_the_attacked_images(model: nn.Module) -> None:
    penalty = SquaredNormPenalty(strength=0.3)
    model.eval()
    expected = penalty(model, torch.zeros_like(IMAGES), LABELS)
    result = Adversarial(attack=Recorder(), objective=Penalized(penalty))(model, IMAGES, LABELS)
    torch.testing.assert_close(result.penalty, expected.penalty)
    assert result.penalty > 0


def test_crafting_moves_no_statistics_and_no_mode(model: nn.Module) -> None:
    model.train()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = model[2].running_mean.clone()
    plain = CrossEntropy()(model, IMAGES * 0, LABELS)
    after_one_pass = model[2].running_mean.clone()
    model[2].running_mean.copy_(before)

    recorder = Recorder()
    Adversarial(attack=recorder)(model, IMAGES, LABELS)
    assert not any(recorder.modes)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[2].running_mean, after_one_pass)

    model[2].running_mean.copy_(before)
    Adversarial(attack=PGD(eps=0.1, steps=3))(model, IMAGES, LABELS)
    assert model[2].num_batches_tracked == 3
    assert all(parameter.grad is None for parameter in model.parameters())
    assert plain.loss.requires_grad


def test_the_attack_may_start_from_the_models_own_label(model: nn.Module) -> None:
    with torch.no_grad():
        predicted = model.eval()(IMAGES).argmax(dim=1)
    assert not torch.equal(predicted, LABELS)
    expected: dict[Literal["true", "predicted"], Tensor] = {"true": LABELS, "predicted": predicted}
    for attack_from, labels in expected.items():
        recorder = Recorder()
        Adversarial(attack=recorder, attack_from=attack_from)(model, IMAGES, LABELS)
        assert torch.equal(recorder.labels[0], labels)


def test_draws_come_from_the_generator_alone(model: nn.Module) -> None:
    objective = Adversarial(attack=PGD(eps=0.1, steps=2))
    model.eval()
    global_state = torch.get_rng_state()

    def loss(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return objective(model, IMAGES, LABELS, generator=generator).loss

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))
    assert torch.equal(torch.get_rng_state(), global_state)


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"a fraction in \(0, 1\], got 0"):
        Adversarial(attack=Recorder(), fraction=0)
    with pytest.raises(HyperparameterError, match="'true' or 'predicted', got 'guess'"):
        Adversarial(attack=Recorder(), attack_from="guess")  # type: ignore[arg-type] # the point

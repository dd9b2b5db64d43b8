"""Laws of steadygrad.penalties.perturbation_source: the attacks that a covariance learns from."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import PGD
from steadygrad.covariance import DataFacts, Stationary, prepared
from steadygrad.errors import HyperparameterError
from steadygrad.penalties import Standardized, Structured
from steadygrad.penalties.perturbation_source import (
    PGD_EPS,
    DeepFoolSource,
    PGDSource,
    attack_perturbations,
    resolve_source,
)

IMAGES = torch.full((8, 1, 4, 4), 0.5)
LABELS = torch.arange(8) % 3
LEARNING = Structured(strength=1.0, covariance=Stationary(source="pgd"))


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 3))


def test_by_default_pgd_is_that_of_table_2(model: nn.Module) -> None:
    # 10 steps of a fifth of the radius, away from the prediction, nothing drawn.
    source = PGDSource().attack()
    assert resolve_source("pgd").attack() == source
    table_2 = {"eps": 8 / 255, "steps": 10, "step_size": 8 / 255 / 5}
    expected = PGD(**table_2, random_start=False, start_from_prediction=True)
    assert torch.equal(source(model, IMAGES, LABELS), expected(model, IMAGES, LABELS))
    assert PGD_EPS == 8 / 255
    assert source.reach * source.eps / source.steps == 8 / 255 / 5


@pytest.mark.parametrize("eps", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("steps", [1, 4, 25])
def test_pgd_reaches_its_radius_whatever_the_number_of_steps(
    model: nn.Module, eps: float, steps: int
) -> None:
    perturbations = PGDSource(eps=eps, steps=steps).attack()(model, IMAGES, LABELS) - IMAGES
    reached = min(eps, 0.5)  # from mid grey, the pixel range ends at 0.5
    assert perturbations.abs().amax().item() == pytest.approx(reached, rel=1e-5)
    assert (perturbations.abs().amax(dim=(1, 2, 3)) > 0.99 * reached).all()


@pytest.mark.parametrize("source", [PGDSource().attack(), DeepFoolSource().attack()], ids=repr)
def test_a_source_draws_nothing_and_needs_no_true_label(model: nn.Module, source: Any) -> None:
    def perturbed(labels: Tensor) -> Tensor:
        return source(model, IMAGES, labels, generator=None)

    state = torch.get_rng_state()
    first = perturbed(LABELS)
    assert torch.equal(first, perturbed(2 - LABELS))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "penalty", [LEARNING, Standardized(penalty=LEARNING)], ids=["sgr", "standardized"]
)
def test_an_attack_meets_the_network_in_eval_mode(
    model: nn.Sequential, penalty: Any, wrapped: bool
) -> None:
    seen: list[bool] = []
    model.append(nn.Dropout())
    model[-1].register_forward_hook(lambda module, *_: seen.append(module.training))
    learning = prepared(penalty, DataFacts((1, 4, 4)))
    learning(partial(lambda net, x: net(x), model) if wrapped else model, IMAGES, LABELS)
    assert seen == [False] * 11 + [True]
    assert model[-1].training


def test_fewer_steps_of_deepfool_end_sooner(model: nn.Module) -> None:
    calls = []

    def counting(images: Tensor) -> Tensor:
        calls.append(len(images))
        logits: Tensor = model(images)
        return logits * (1 + images.flatten(start_dim=1).square().sum(dim=1, keepdim=True))

    counts = []
    for steps in (1, 100):
        calls.clear()
        DeepFoolSource(steps=steps).attack()(counting, IMAGES, LABELS)
        counts.append(len(calls))
    assert counts[0] < counts[1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PGDSource(eps=8), r"eps in \[0, 1\], got 8"),
        (lambda: PGDSource(steps=0), "steps >= 1, got 0"),
        (lambda: DeepFoolSource(steps=0), "steps >= 1, got 0"),
    ],
)
def test_settings_outside_their_range_are_refused(build: Any, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        build()


def test_an_attack_is_told_the_likeliest_class_of_soft_labels(model: nn.Module) -> None:
    told = []

    def attack(_: nn.Module, images: Tensor, labels: Tensor, **__: Any) -> Tensor:
        told.append(labels)
        return images

    soft = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
    attack_perturbations(attack, model, IMAGES[:2], soft)
    assert told[0].tolist() == [1, 0]

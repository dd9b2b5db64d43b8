"""Fitness for an audit: planted problems are all found at once, and a fit model has none."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steadygrad.evaluation.auditing import Fitness, check_fitness
from steadygrad.layers import ComplexLinear, PhaseEncoding

Data = tuple[Tensor, Tensor]


class Wrapped(nn.Module):
    """A network with something around it; float64 copies stay whole."""

    def __init__(self, network: nn.Module, function: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, images: Tensor) -> object:
        return self.function(self.network, images)


def names(fitness: Fitness, *, fatal: bool | None = None) -> set[str]:
    chosen = [p for p in fitness.problems if fatal is None or p.is_fatal == fatal]
    return {problem.name for problem in chosen}


def test_a_fit_model_has_no_problems_and_exact_gradients(
    trained: nn.Module, held_out: Data
) -> None:
    fitness = check_fitness(trained, *held_out, classes=10)
    assert fitness.problems == () and fitness.is_fit
    assert any("exact gradients" in fact and "8 of 8" in fact for fact in fitness.facts)


def test_several_planted_problems_are_found_at_once(trained: nn.Module, held_out: Data) -> None:
    images, labels = held_out
    network = nn.Sequential(nn.Dropout(0.5), trained, nn.Softmax(dim=1))
    fitness = check_fitness(network, 255 * images, labels + 1, classes=10)
    assert names(fitness, fatal=True) >= {"pixel-range", "probabilities", "classes"}
    assert "training-mode" in names(fitness, fatal=False)
    assert not fitness.is_fit
    assert all(problem.what and problem.remedy for problem in fitness.problems)
    assert network.training


@pytest.mark.parametrize(
    ("function", "name", "is_fatal"),
    [
        (lambda f, x: f(x).softmax(dim=1), "probabilities", True),
        (lambda f, x: f(x).log_softmax(dim=1), "log-probabilities", False),
        (lambda f, x: f(x / 255), "input-range", True),
        (lambda f, x: f(0.3 + 0.3 * x), "input-range", False),
        (lambda f, x: f(1 - x), "input-range", True),
        (lambda f, x: f(x).roll(1, dims=1), "labels-do-not-match", True),
        (lambda f, x: 0 * f(x), "at-chance", False),
        (lambda f, x: f(x + 0.1 * torch.randn_like(x)), "randomness", False),
        (lambda f, x: f(x) / (x.sum(dim=(1, 2, 3)) > 18).unsqueeze(1), "non-finite", True),
        (lambda f, x: f(x - x.mean(dim=0)), "batch-neighbours", False),
        (lambda f, x: f(x.detach()), "no-gradient", True),
        (lambda f, x: torch.from_numpy(f(x).detach().numpy()), "no-gradient", True),
        (lambda f, x: f((7 * x).round() / 7), "zero-gradient", False),
        (lambda f, x: f(x + ((7 * x).round() / 7 - x).detach()), "inexact-gradient", False),
        (lambda f, x: f(x.abs().sqrt() ** 2), "non-finite-gradient", False),
        (lambda f, x: f(x.float()).float(), "float64", False),
        (lambda f, x: (f(x), None), "output-form", True),
        (lambda f, x: f(x)[:, :1], "classes", True),
        (lambda f, x: f(x)[:, :9], "classes", True),
        (lambda f, x: f(x[:, :, :4]), "forward", True),
    ],
)
def test_each_planted_problem(
    trained: nn.Module,
    held_out: Data,
    function: Callable[[nn.Module, Tensor], object],
    name: str,
    is_fatal: bool,
) -> None:
    fitness = check_fitness(Wrapped(trained, function), *held_out, classes=10)
    assert name in names(fitness, fatal=is_fatal), fitness.problems
    assert fitness.is_fit != is_fatal


def test_nothing_is_left_on_the_model_or_on_the_random_state(
    trained: nn.Module, held_out: Data
) -> None:
    # A copy: other tests may have left gradients on the shared one.
    network = nn.Sequential(nn.Dropout(0.5), copy.deepcopy(trained))
    modes, state = [m.training for m in network.modules()], torch.get_rng_state()
    check_fitness(network, *held_out)
    assert [m.training for m in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_images_and_labels_that_no_model_could_read(trained: nn.Module, held_out: Data) -> None:
    images, labels = held_out
    bytes_ = (255 * images).to(torch.uint8)
    assert names(check_fitness(trained, bytes_, labels)) == {"images"}
    assert names(check_fitness(trained, images, labels.float())) == {"labels"}
    assert names(check_fitness(trained, images[:, 0], labels)) == {"images"}
    both = check_fitness(trained, images - 0.5, labels[:-1])
    assert {"pixel-range", "labels"} <= names(both, fatal=True)


def test_a_model_of_other_classes_than_the_data_is_noted(
    trained: nn.Module, held_out: Data
) -> None:
    assert names(check_fitness(trained, *held_out, classes=12)) == {"classes"}


def test_complex_layers_are_said_to_hand_over_exact_gradients(held_out: Data) -> None:
    frozen = ComplexLinear(64, 10, second_order="frozen_phase")
    network = nn.Sequential(PhaseEncoding(), nn.Flatten(), frozen)
    facts = check_fitness(network, *held_out).facts
    assert any("1 complex layer" in fact for fact in facts)
    assert any("autograd agrees" in fact and "8 of 8" in fact for fact in facts)


class Brightness(nn.Module):
    """Two classes, dark and bright."""

    def forward(self, images: Tensor) -> Tensor:
        score = 20 * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack((-score, score), dim=1)


def uneven(n: int, bright: int, labelled: int) -> Data:
    """Return ``n`` images, ``bright`` of them bright, ``labelled`` of them of the second class."""
    torch.manual_seed(0)
    is_bright, labels = (torch.arange(n) < count for count in (bright, labelled))
    images = 0.3 * torch.rand(n, 1, 8, 8) + torch.where(is_bright, 0.6, 0.1).view(-1, 1, 1, 1)
    order = torch.randperm(n)
    return images[order], labels.long()[order]


@pytest.mark.parametrize(
    ("n", "bright", "labelled"),
    [(256, 5, 13), (20, 3, 3), (200, 2, 2), (100, 90, 80), (100, 30, 20)],
)
def test_a_good_classifier_of_uneven_classes_has_no_problem(
    n: int, bright: int, labelled: int
) -> None:
    assert check_fitness(Brightness(), *uneven(n, bright, labelled)).problems == ()


def test_images_of_one_class_are_no_ground_for_doubt() -> None:
    images, labels = uneven(50, 50, 50)
    assert check_fitness(Brightness(), images, labels).problems == ()


def test_always_naming_the_most_frequent_class_is_at_chance_however_often_it_is_right() -> None:
    images, labels = uneven(200, 0, 10)
    assert names(check_fitness(Brightness(), images, labels)) == {"at-chance"}
    assert names(check_fitness(Brightness(), images, 1 - labels), fatal=True) == set()


def test_a_swap_of_uneven_classes_is_still_found() -> None:
    images, labels = uneven(200, 40, 40)
    assert names(check_fitness(Brightness(), images, 1 - labels), fatal=True) == {
        "labels-do-not-match"
    }


def test_a_constant_model_is_said_to_be_one_and_may_be_audited(held_out: Data) -> None:
    def constant(images: Tensor) -> Tensor:
        return (3 * torch.eye(10)[3]).expand(len(images), 10)

    fitness = check_fitness(constant, *held_out)
    assert names(fitness) == {"constant", "at-chance"} and fitness.is_fit

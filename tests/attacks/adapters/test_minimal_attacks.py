"""Attacks that look for the smallest perturbation, judged at a radius."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks.adapters import (
    DDN,
    FMN,
    CarliniWagner,
    ForeignAttack,
    HopSkipJump,
    from_art,
    from_foolbox,
    from_torchattacks,
)
from steadygrad.errors import HyperparameterError, ModelError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import art.attacks.evasion as art
    import foolbox.attacks as foolbox
    import torchattacks

Build = Callable[[float], ForeignAttack]
BUILDS: dict[str, Build] = {
    "foolbox DeepFool": lambda eps: from_foolbox(
        foolbox.L2DeepFoolAttack(candidates=2, overshoot=0.01), eps=eps
    ),
    "foolbox DDN": lambda eps: from_foolbox(foolbox.DDNAttack(steps=60), eps=eps),
    "torchattacks DeepFool": lambda eps: from_torchattacks(
        torchattacks.DeepFool, eps=eps, overshoot=0.01
    ),
    "ART DeepFool": lambda eps: from_art(art.DeepFool, eps=eps, epsilon=0.01),
    "Carlini-Wagner": lambda eps: CarliniWagner(
        eps=eps, steps=60, binary_search_steps=4, initial_const=0.1, step_size=0.05
    ),
}
BUILDS |= {
    "DDN": lambda eps: DDN(eps=eps, steps=60),
    "HopSkipJump": lambda eps: HopSkipJump(eps=eps, norm="l2", steps=20),
}
each_build = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)


def three() -> tuple[Tensor, Tensor, Tensor]:
    """Images that sum to 1, 1.6 and 3, their classes, and their distances from the boundary."""
    images = torch.tensor([0.25, 0.4, 0.75]).view(3, 1, 1, 1).expand(3, 1, 2, 2).contiguous()
    return images, torch.tensor([0, 0, 1]), torch.tensor([0.5, 0.2, 0.5])


@each_build
def test_an_image_is_broken_exactly_where_its_boundary_lies_within_eps(
    halves: nn.Module, build: Build
) -> None:
    images, labels, distances = three()
    for eps in (0.18, 0.23, 0.47, 0.56):
        found = build(eps)(halves, images, labels)
        is_broken = halves(found).argmax(dim=1) != labels
        assert torch.equal(is_broken, distances < eps)
        assert (found - images).flatten(1).norm(dim=1).max() <= eps + 1e-6
        # Not halfway to the boundary, nor whatever the library left there: as it was.
        assert torch.equal(found[~is_broken], images[~is_broken])


@each_build
def test_the_distances_found_are_those_of_the_boundary(halves: nn.Module, build: Build) -> None:
    images, labels, distances = three()
    found, lengths = build(0.0).closest(halves, images, labels)
    assert torch.equal(halves(found).argmax(dim=1), 1 - labels)
    torch.testing.assert_close(lengths, (found - images).flatten(1).norm(dim=1))
    assert (lengths > distances).all() and (lengths < 1.06 * distances).all()


@pytest.mark.parametrize("name", ["foolbox DDN", "torchattacks DeepFool", "Carlini-Wagner"])
def test_where_nothing_is_found_the_distance_is_infinite(name: str) -> None:
    def stubborn(images: Tensor) -> Tensor:
        first = images.flatten(1).sum(dim=1) + 100
        return torch.stack((first, -first), dim=1)

    images, _, _ = three()
    labels = torch.zeros(3, dtype=torch.int64)
    attack = BUILDS[name](1.0)
    found, lengths = attack.closest(stubborn, images, labels)
    assert torch.equal(found, images) and lengths.isinf().all()
    assert torch.equal(attack(stubborn, images, labels), images)


def test_a_library_that_returns_nan_has_failed(halves: nn.Module) -> None:
    class Undefined(torchattacks.DeepFool):
        def forward(self, images: Tensor, labels: Tensor) -> Tensor:
            return images / 0 * 0

    images, labels, _ = three()
    attack = from_torchattacks(Undefined, eps=1.0)
    assert torch.equal(attack(halves, images, labels), images)


def test_a_bounded_attack_has_no_closest(halves: nn.Module) -> None:
    attack = from_foolbox(foolbox.LinfPGD(), eps=0.1)
    with pytest.raises(HyperparameterError, match=r"minimizes.*got foolbox Linf.*bounded by eps"):
        attack.closest(halves, *three()[:2])


@pytest.mark.parametrize("name", ["foolbox DDN", "Carlini-Wagner"])
def test_logits_that_are_not_finite_or_constant_are_refused(name: str) -> None:
    images, labels, _ = three()
    with pytest.raises(ModelError, match="finite logits"):
        BUILDS[name](1.0)(lambda x: x.flatten(1) / 0, images, labels)
    with pytest.raises(ModelError, match="differentiable in the images, got constants"):
        BUILDS[name](1.0)(lambda x: torch.ones(len(x), 2), images, labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -1.0}, r"eps >= 0 and finite in L2, got -1\.0"),
        ({"eps": 1.0, "norm": "linf"}, "norm 'l2' for Carlini-Wagner, got 'linf'"),
        ({"eps": 1.0, "steps": 0}, "steps >= 1, got 0"),
        ({"eps": 1.0, "binary_search_steps": 0}, "binary_search_steps >= 1, got 0"),
        ({"eps": 1.0, "step_size": 0.0}, r"step_size > 0, got 0\.0"),
        ({"eps": 1.0, "initial_const": -1.0}, r"initial_const > 0, got -1\.0"),
        ({"eps": 1.0, "confidence": -1.0}, r"confidence >= 0, got -1\.0"),
    ],
)
def test_settings_of_carlini_wagner(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        CarliniWagner(**settings)


def test_confidence_goes_that_far_beyond_the_boundary(halves: nn.Module) -> None:
    images, labels, _ = three()
    attack = CarliniWagner(
        eps=9.0, confidence=1.0, steps=100, binary_search_steps=3, initial_const=1.0
    )
    found, _ = attack.closest(halves, images, labels)
    logits = halves(found)
    margins = logits.gather(1, 1 - labels.unsqueeze(1)) - logits.gather(1, labels.unsqueeze(1))
    assert margins.min() >= 1 - 1e-4


def test_the_distances_of_hop_skip_jump_in_l_infinity_are_those_of_the_boundary(
    halves: nn.Module,
) -> None:
    images, labels, distances = three()
    found, lengths = HopSkipJump(eps=1.0, steps=20).closest(
        halves, images, labels, generator=torch.Generator().manual_seed(0)
    )
    # All four pixels move alike: half of the Euclidean distance each.
    assert torch.equal(halves(found).argmax(dim=1), 1 - labels)
    assert (lengths >= distances / 2 - 1e-6).all() and (lengths < 1.1 * distances / 2).all()


def test_an_image_with_nowhere_to_begin_does_not_stop_hop_skip_jump(halves: nn.Module) -> None:
    def model(images: Tensor) -> Tensor:
        """As ``halves`` with the first image of two, and class 0 for whatever comes second."""
        logits: Tensor = halves(images)
        rows = torch.arange(len(images)).unsqueeze(1)
        return torch.where(rows == 1, torch.tensor([9.0, 0.0]), logits)

    images, labels, _ = three()
    attack = HopSkipJump(eps=1.0, norm="l2", steps=5)
    found, lengths = attack.closest(model, images[:2], labels[:2])
    assert lengths[0].isfinite() and lengths[1].isinf()
    assert torch.equal(found[1], images[1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DDN(eps=1.0, norm="linf"), "norm 'l2' for DDN, got 'linf'"),
        (lambda: DDN(eps=1.0, initial_length=0.0), r"initial_length > 0, got 0\.0"),
        (lambda: DDN(eps=1.0, gamma=1.0), r"gamma in \(0, 1\), got 1\.0"),
        (lambda: FMN(eps=1.0, gamma=0.0), r"gamma in \(0, 1\), got 0\.0"),
        (lambda: FMN(eps=1.0, step_size=0.0), r"step_size > 0, got 0\.0"),
        (lambda: FMN(eps=1.0, steps=0), "steps >= 1, got 0"),
        (lambda: HopSkipJump(eps=1.0, directions=0), "directions >= 1, got 0"),
        (lambda: HopSkipJump(eps=1.0, most_queries=9), "most_queries >= first_queries, got 9 and"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    build: Callable[[], ForeignAttack], message: str
) -> None:
    with pytest.raises(HyperparameterError, match=message):
        build()

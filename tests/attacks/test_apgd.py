"""APGD is itself: a slow version, closed forms, its passes, and the authors' own code."""

import importlib.util
import math

import pytest
import torch
from torch import Tensor, nn

from attacks.references import CLASSES, IMAGES, SlowAutoPGD, as_images, network, slow_class
from steadygrad.attacks import APGD, AutoAttack
from steadygrad.attacks.apgd import _looks
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.boundaries import boundary_distances, nearest_boundaries
from steadygrad.attacks.losses import Loss
from steadygrad.errors import HyperparameterError, ModelError, UnknownNameError

needs_autoattack = pytest.mark.skipif(
    importlib.util.find_spec("pyautoattack") is None, reason="pyautoattack is not installed"
)
PREDICTED = torch.tensor([slow_class(image) for image in IMAGES])
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@each_norm
@pytest.mark.parametrize("loss", ["cross-entropy", "margin", "dlr"])
@pytest.mark.parametrize(("eps", "steps"), [(0.02, 20), (0.3, 20), (0.6, 3), (0.05, 1)])
def test_it_is_the_algorithm_of_the_paper(eps: float, steps: int, loss: Loss, norm: Norm) -> None:
    slow = SlowAutoPGD(eps=eps, steps=steps, loss=loss, norm=norm)
    expected = [slow(image, int(y))[0] for image, y in zip(IMAGES, PREDICTED, strict=True)]
    attack = APGD(eps=eps, steps=steps, loss=loss, norm=norm, random_start=False)
    found = attack(network, as_images(IMAGES), PREDICTED)
    torch.testing.assert_close(found, as_images(expected), rtol=0, atol=1e-7)


def test_the_settings_of_that_test_halve_steps_and_break_some_images_and_not_others() -> None:
    slow = SlowAutoPGD(eps=0.02, steps=20)
    halvings = [slow(image, int(y))[1] for image, y in zip(IMAGES, PREDICTED, strict=True)]
    assert max(halvings) >= 2
    found = APGD(eps=0.3, steps=20, random_start=False)(network, as_images(IMAGES), PREDICTED)
    broken = network(found).argmax(dim=1) != PREDICTED
    assert 0 < int(broken.sum()) < len(broken)


def test_the_steps_at_which_the_size_is_looked_at_are_those_of_the_paper() -> None:
    assert sorted(_looks(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(_looks(50)) == [11, 21, 29, 35, 40, 44, 47, 50]
    assert sorted(_looks(1)) == [1]


@each_norm
def test_on_a_linear_model_it_ends_in_the_corner_or_along_the_gradient(norm: Norm) -> None:
    weight = torch.tensor([[0.0, 0, 0, 0], [3.0, -4, 0, 0]], dtype=torch.float64)
    images = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    found = APGD(eps=0.1, norm=norm, loss="margin", random_start=False)(
        lambda x: x.flatten(1) @ weight.T + torch.tensor([9.0, 0]), images, torch.tensor([0])
    )
    change = (found - images).flatten()
    expected = [0.1, -0.1, 0, 0] if norm == "linf" else [0.06, -0.08, 0, 0]
    torch.testing.assert_close(change, torch.tensor(expected, dtype=torch.float64))


@needs_autoattack
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("member", "settings"),
    [
        ("apgd-ce", {}),
        ("apgd-dlr", {"loss": "dlr"}),
        ("apgd-t", {"loss": "dlr", "target": "nearest"}),
    ],
)
def test_it_breaks_what_the_authors_own_code_breaks_but_for_one_image_of_forty(
    trained: nn.Module,
    other_network: nn.Module,
    held_out: tuple[Tensor, Tensor],
    norm: Norm,
    member: str,
    settings: dict[str, str],
) -> None:
    for model, eps in (
        (trained, {"linf": 0.09, "l2": 0.45}),
        (other_network, {"linf": 0.08, "l2": 0.4}),
    ):
        with torch.no_grad():
            is_right = model(held_out[0]).argmax(dim=1) == held_out[1]
        images, labels = (tensor[is_right][:40] for tensor in held_out)
        broken = []
        for attack in (
            APGD(eps=eps[norm], norm=norm, **settings),
            AutoAttack(eps=eps[norm], norm=norm, attacks=(member,)),
        ):
            found = attack(model, images, labels, generator=generator())
            with torch.no_grad():
                broken.append(model(found).argmax(dim=1) != labels)
        assert 5 <= int(broken[1].sum()) <= 35
        assert abs(int(broken[0].sum()) - int(broken[1].sum())) <= 1


@pytest.fixture(scope="module")
def other_network(digits: tuple[Tensor, Tensor]) -> nn.Module:
    images, labels = (tensor[:1400] for tensor in digits)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model.eval()


class Counted(nn.Module):
    """The sizes of the batches that a model is asked about."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        logits: Tensor = self.model(images)
        return logits


def test_an_image_that_is_broken_costs_no_further_pass(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = (tensor[:40] for tensor in held_out)
    counted = Counted(trained)
    found = APGD(eps=0.1, steps=10, restarts=2)(counted, images, labels, generator=generator())
    with torch.no_grad():
        left = int((trained(found).argmax(dim=1) == labels).sum())
    assert 0 < left < 40
    assert counted.sizes[0] == 40 and counted.sizes == sorted(counted.sizes, reverse=True)
    assert len(counted.sizes) == 2 * 11 and counted.sizes[-1] >= left


def test_the_distance_to_a_linear_boundary_is_exact_in_both_norms() -> None:
    weight = torch.tensor([[1.0, 2, 2, 0], [0, 0, 0, 0], [0, 0, 0, 3]], dtype=torch.float64)
    images = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    labels, classes = torch.tensor([0]), torch.tensor([[1, 2]])

    def model(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight.T

    leads = torch.tensor([[2.5, 1.0]], dtype=torch.float64)
    slopes = {"linf": [5.0, 8.0], "l2": [3.0, math.sqrt(18)]}
    for norm, slope in slopes.items():
        found = boundary_distances(model, images, labels, classes, norm)
        torch.testing.assert_close(found, leads / torch.tensor(slope, dtype=torch.float64))


def test_the_nearest_class_is_not_that_of_the_largest_logit() -> None:
    weight = torch.tensor([[1.0, 0, 0, 0], [1.0, 0.01, 0, 0], [0, 9.0, 0, 0]], dtype=torch.float64)
    bias = torch.tensor([5.0, 4.9, -1.0], dtype=torch.float64)
    images = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight.T + bias

    assert model(images).argsort(descending=True).tolist() == [[0, 1, 2]]
    assert nearest_boundaries(model, images, torch.tensor([0]), 2, "linf")[0].tolist() == [[2, 1]]
    # One target of one step: pixel 1, which class 2 alone reads, goes up and nothing else matters.
    attack = APGD(
        eps=0.1, steps=1, loss="margin", target="nearest", candidates=1, random_start=False
    )
    change = (attack(model, images, torch.tensor([0])) - images).flatten()
    torch.testing.assert_close(change[:2], torch.tensor([-0.1, 0.1], dtype=torch.float64))


def test_a_class_whose_boundary_has_no_slope_comes_last() -> None:
    images = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return torch.stack((flat[:, 0], flat[:, 0] - 0.1, flat[:, 1] - 0.4), dim=1)

    assert nearest_boundaries(model, images, torch.tensor([0]), 2, "l2")[0].tolist() == [[2, 1]]


def test_with_targets_any_wrong_class_counts(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    broken = {}
    for target in (None, "nearest"):
        attack = APGD(eps=0.1, steps=20, loss="dlr", target=target)
        found = attack(trained, images, labels, generator=generator())
        with torch.no_grad():
            broken[target] = trained(found).argmax(dim=1) != labels
    assert broken["nearest"].sum() >= broken[None].sum() > 0


def test_start_from_prediction_ignores_the_label() -> None:
    images = as_images(IMAGES)
    wrong = (PREDICTED + 1) % CLASSES
    own = APGD(eps=0.05, random_start=False, start_from_prediction=True)(network, images, wrong)
    assert torch.equal(own, APGD(eps=0.05, random_start=False)(network, images, PREDICTED))


def test_restarts_never_lose_what_fewer_found(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    broken = []
    for restarts in (1, 3):
        attack = APGD(eps=0.12, steps=5, restarts=restarts)
        found = attack(trained, images, labels, generator=generator())
        with torch.no_grad():
            broken.append(trained(found).argmax(dim=1) != labels)
    assert (broken[0] <= broken[1]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 8.0}, "did you mean 8/255"),
        ({"steps": 0}, "steps >= 1, got 0"),
        ({"restarts": 0}, "restarts >= 1, got 0"),
        ({"candidates": 0}, "candidates >= 1, got 0"),
        ({"near": 0.0}, r"near > 0 and finite, got 0\.0"),
        ({"restarts": 2, "random_start": False}, "random_start=True with 2 restarts"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        APGD(**({"eps": 0.1} | settings))


def test_unknown_choices_are_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="target nearest or None, got 'all'"):
        APGD(eps=0.1, target="all")
    with pytest.raises(UnknownNameError, match="loss one of cross-entropy, margin, dlr, got 'ce'"):
        APGD(eps=0.1, loss="ce")


def test_too_few_classes_for_a_loss_are_refused() -> None:
    images, labels = torch.full((2, 3, 1, 1), 0.5), torch.tensor([0, 1])
    with pytest.raises(ModelError, match="at least 4 classes for the targeted dlr loss, got 3"):
        APGD(eps=0.1, loss="dlr", target="nearest")(lambda x: x.flatten(1), images, labels)


def test_restarts_are_for_what_is_nearly_broken() -> None:
    # Class 1 lies 0.2 and 0.04 beyond the corner of the ball; one step of one pixel.
    images = torch.tensor([0.2, 0.36], dtype=torch.float64).view(2, 1, 1, 1)
    sizes: list[int] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.stack((0.5 - x.flatten(), torch.zeros(len(x), dtype=x.dtype)), dim=1)

    for near, last in ((None, 2), (0.5, 1), (0.3, None)):
        sizes.clear()
        attack = APGD(eps=0.1, steps=3, restarts=2, near=near, loss="margin")
        attack(model, images, torch.zeros(2, dtype=torch.int64), generator=generator())
        # Four looks at both, then two to measure what is left, then four at those that are near.
        first, again = sizes[:4], sizes[4 if near is None else 6 :]
        assert first == [2] * 4
        assert again == ([] if last is None else [last] * 4)

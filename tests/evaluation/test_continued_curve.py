"""A curve whose attack goes on from the smaller radius, against the same written as a loop."""

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import FGSM, PGD, Attack
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.evaluation import accuracy_curve, continued_curve, parse_eps_grid

GRID = parse_eps_grid("0:0.2:0.04,0.1")


class Asked(nn.Module):
    """The brightest of two pixels, with everything that it was asked about."""

    def __init__(self, margin: float = 0.0) -> None:
        super().__init__()
        self.margin, self.images = margin, list[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        self.images.append(images.detach().clone())
        return images.flatten(1) + torch.tensor([self.margin, 0.0])

    @property
    def count(self) -> int:
        return sum(map(len, self.images))


def pairs(gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return images 0.5 + gap and 0.5 - gap: an attack breaks them beyond eps = gap."""
    images = torch.stack((0.5 + gaps, 0.5 - gaps), dim=1).reshape(len(gaps), 2, 1, 1)
    return images, torch.zeros(len(gaps), dtype=torch.int64)


def by_hand(model: nn.Module, image: Tensor, label: Tensor, attack: PGD) -> float:
    """Return the radius that breaks one image, by a loop over radii and steps."""

    def is_wrong(x: Tensor) -> bool:
        return int(model(x).argmax()) != int(label)

    if is_wrong(image):
        return 0.0
    radii = [eps for eps in GRID if eps > 0]
    x = image
    for before, eps in pairwise([0.0, *radii]):
        steps = attack.steps if before == 0 else math.ceil(attack.steps / 2)
        stretched = image + (x - image) * (eps / before if before else 1.0)
        x = stretched.clamp(image - eps, image + eps).clamp(0, 1)
        for step in range(steps + 1):
            if is_wrong(x):
                return eps
            if step < steps:
                x = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(cross_entropy(model(x), label), x)
                size = attack.reach * eps / attack.steps
                x = (x.detach() + size * gradient.sign()).clamp(image - eps, image + eps)
                x = x.clamp(0, 1)
    return math.inf


@pytest.mark.parametrize("steps", [4, 3])
def test_equals_a_loop_over_images_radii_and_steps(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], steps: int
) -> None:
    model = copy.deepcopy(trained).double()
    images, labels = held_out[0][:40].double(), held_out[1][:40]
    attack = PGD(eps=0, steps=steps, random_start=False)
    curve = continued_curve(model, images, labels, attack, GRID, batch_size=16)
    expected = [
        by_hand(model, images[row : row + 1], labels[row : row + 1], attack) for row in range(40)
    ]
    assert curve.broken_at.tolist() == expected
    assert len(set(expected)) > 3
    assert [point.correct for point in curve.points] == [
        sum(broken > eps for broken in expected) for eps in GRID
    ]
    assert curve.search == "continued" and curve.reuse_broken


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_finds_the_known_radius_and_never_leaves_the_ball(norm: Any) -> None:
    gaps = torch.linspace(0.001, 0.395, 40, dtype=torch.float64)
    images, labels = pairs(gaps)
    grid = parse_eps_grid("0:0.6:0.05", norm)
    model = Asked()
    curve = continued_curve(
        model, images, labels, PGD(eps=0, steps=6, norm=norm), grid, batch_size=40
    )
    needed = gaps if norm == "linf" else gaps * 2**0.5
    expected = [min((eps for eps in grid if eps > need), default=math.inf) for need in needed]
    assert curve.broken_at.tolist() == expected
    nearest = torch.cdist(torch.cat(model.images).flatten(1), images.flatten(1))
    # Each question lies within the largest radius of an image: nothing adds up beyond it.
    assert nearest.min(dim=1).values.max() <= (0.6 * (2**0.5 if norm == "linf" else 1)) + 1e-9
    for asked in model.images:
        assert asked.min() >= 0 and asked.max() <= 1


def test_an_image_that_stands_costs_half_the_steps_and_one_that_falls_one_look() -> None:
    images, labels = pairs(torch.full((10,), 0.1))
    standing, falling = Asked(margin=9.0), Asked()
    attack = PGD(eps=0, steps=8, random_start=False)
    curve = continued_curve(standing, images, labels, attack, GRID)
    radii = len(GRID) - 1
    # Without attack, then steps and a last look at every radius.
    assert standing.count == 10 * (1 + (8 + 1) + (radii - 1) * (4 + 1))
    assert curve.points[-1].correct == 10
    falling_grid = (0.05, 0.2, 0.3)
    continued_curve(falling, images, labels, attack, falling_grid)
    # 9 looks at 0.05; at 0.2 the stretched change is already enough, and nothing follows at 0.3.
    assert falling.count == 10 * (1 + 9 + 1)


def test_a_seed_and_the_batch_decide_everything(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    def broken(seed: int) -> Tensor:
        attack = PGD(eps=0, steps=2)
        return continued_curve(trained, *held_out, attack, GRID, batch_size=64, seed=seed).broken_at

    first = broken(0)
    torch.rand(1)
    assert torch.equal(first, broken(0))
    assert not torch.equal(first, broken(1))


def test_is_no_weaker_than_the_sweep(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    attack = PGD(eps=0, steps=8)
    found, swept = (
        curve_of(trained, *held_out, attack, GRID) for curve_of in (continued_curve, accuracy_curve)
    )
    assert swept.points[0] == found.points[0]
    for one, other in zip(found.points, swept.points, strict=True):
        assert one.correct <= other.correct + 0.02 * other.n


@pytest.mark.parametrize(
    "attack", [FGSM(eps=0), PGD(eps=0, restarts=2), PGD(eps=0, target="least-likely")], ids=repr
)
def test_what_cannot_be_continued_is_refused(attack: Attack) -> None:
    images, labels = pairs(torch.full((2,), 0.1))
    with pytest.raises(HyperparameterError, match="expected pgd with restarts=1 and no target"):
        continued_curve(Asked(), images, labels, attack, GRID)
    if isinstance(attack, PGD):
        with pytest.raises(HyperparameterError, match="restarts=1 and no target"):
            attack.continued(Asked(), images, labels, images, 1)


def test_nan_on_disturbed_images_alone_is_noticed() -> None:
    def model(images: Tensor) -> Tensor:
        return images.flatten(1) / (images.flatten(1) == 0.5).all(dim=1, keepdim=True)

    images, labels = torch.full((6, 2, 1, 1), 0.5), torch.zeros(6).long()
    with pytest.raises(ModelError, match="NaN or infinity"):
        continued_curve(model, images, labels, PGD(eps=0), [0.0, 0.1])


def test_progress_reaches_the_end(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    seen: list[tuple[int, int]] = []
    continued_curve(
        trained,
        *held_out,
        PGD(eps=0, steps=1),
        GRID,
        batch_size=64,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (len(GRID) * len(held_out[0]),) * 2


@pytest.mark.parametrize("count", [1, 2])
def test_a_model_that_is_never_right_has_a_curve_of_zeros(count: int) -> None:
    images, labels = pairs(torch.full((count,), 0.1))
    told: list[tuple[int, int]] = []
    curve = continued_curve(
        Asked(),
        images,
        labels + 1,
        PGD(eps=0),
        GRID,
        progress=lambda *call: told.append(call),
    )
    assert all(point.correct == 0 for point in curve.points)
    assert told[-1] == (len(GRID) * count, len(GRID) * count)

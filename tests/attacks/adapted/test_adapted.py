"""Each adapted attack breaks what ordinary gradients cannot, and counts its draws rightly."""

import math

import pytest
import torch
from dishonest_models import (
    BlockQuantised,
    HardDecision,
    HardVote,
    HiddenByDetach,
    NoGradient,
    Quantised,
    RoundedLogits,
    Sawtooth,
)
from torch import Tensor, nn

from steadygrad.attacks import (
    PGD,
    Attack,
    ExpectationOverDraws,
    SmoothedGradient,
    StraightThrough,
    Surrogate,
    WideDifferences,
    draws_needed,
    substituted_operations,
)
from steadygrad.attacks.adapted import blurred
from steadygrad.errors import HyperparameterError

Data = tuple[Tensor, Tensor]
EPS = 0.2


@pytest.fixture
def few(held_out: Data) -> Data:
    return held_out[0][:24], held_out[1][:24]


def left(model: nn.Module, data: Data, attack: Attack, way: nn.Module | None = None) -> int:
    """Return how many images stay correct after the attack, crafted on ``way`` if given."""
    images, labels = data
    found = attack(way or model, images, labels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return int((model(found).argmax(dim=1) == labels).sum())


@pytest.mark.parametrize(
    ("wrapped", "names"),
    [
        (lambda m: Quantised(m), ("round",)),
        (lambda m: BlockQuantised(m), ("round",)),
        (lambda m: RoundedLogits(m), ("round",)),
        (lambda m: HardDecision(m), ("argmax",)),
        (lambda m: HardVote(m), ("argmax",)),
        (lambda m: Sawtooth(m), ("remainder",)),
        (lambda m: HiddenByDetach(m), ("detach",)),
    ],
)
def test_straight_through_finds_the_break_and_breaks_what_an_informed_attack_breaks(
    trained: nn.Module, few: Data, wrapped: object, names: tuple[str, ...]
) -> None:
    assert callable(wrapped)
    model = wrapped(trained)
    assert substituted_operations(model, few[0][:2]) == names
    informed = left(model, few, PGD(eps=EPS, steps=40, loss="margin"), trained)
    adapted = left(model, few, StraightThrough(eps=EPS))
    assert adapted <= informed + 2
    assert adapted < left(model, few, PGD(eps=0.0)) / 2


def test_an_honest_network_has_nothing_to_replace(trained: nn.Module, few: Data) -> None:
    assert substituted_operations(trained, few[0][:2]) == ()


class Steps(nn.Module):
    """Several ways to lose a gradient, chosen by name."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[:, :2]
        match self.way:
            case "gt":
                return (x > 0.5).float() * 3
            case "where":
                return torch.where(x > 0.5, 3.0, 1.0)
            case "sign":
                return torch.sign(x - 0.5)
            case "byte":
                return (255 * x).to(torch.uint8) / 255
            case "data":
                return x.data * 1.0
            case "no_grad":
                with torch.no_grad():
                    return 2 * x
            case "floordiv":
                return x // 0.1
        raise AssertionError(self.way)


@pytest.mark.parametrize("way", ["gt", "where", "sign", "byte", "data", "no_grad", "floordiv"])
def test_the_substitute_keeps_every_value_and_points_upwards(way: str) -> None:
    from steadygrad.attacks.adapted.substitutes import StraightThroughMode

    model = Steps(way)
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with torch.no_grad():
        expected = model(x)
    with StraightThroughMode() as mode:
        out = model(x)
    assert torch.equal(out.detach(), expected)
    assert mode.replaced
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert (gradient.flatten(1)[:, :2] > 0).all()
    assert torch.is_grad_enabled()


def test_wide_differences_and_surrogate_need_no_gradient(trained: nn.Module, few: Data) -> None:
    model = NoGradient(trained)
    assert substituted_operations(model, few[0][:2]) == ()
    clean = left(model, few, PGD(eps=0.0))
    assert left(model, few, PGD(eps=EPS, steps=10, random_start=False)) == clean
    informed = left(model, few, PGD(eps=EPS, steps=40, loss="margin"), trained)
    assert left(model, few, WideDifferences(eps=EPS)) <= informed + 3
    assert left(model, few, Surrogate(eps=EPS)) < clean / 2


class Rippled(nn.Module):
    """The sum of the pixels against 2, with a ripple whose slope is five times as large."""

    def forward(self, x: Tensor) -> Tensor:
        total = (x + 0.002 * torch.sin(2.5e3 * x)).flatten(1).sum(dim=1)
        return torch.stack((total - 2, 2 - total), dim=1)


def test_smoothing_finds_the_slope_under_the_ripple() -> None:
    images, labels = torch.full((16, 1, 2, 2), 0.6), torch.zeros(16, dtype=torch.int64)
    # A corner is enough: all four pixels down by more than 0.1.
    data, radius = (images, labels), 0.125
    assert left(Rippled(), data, PGD(eps=radius, steps=1, step_size=radius)) > 4
    assert left(Rippled(), data, SmoothedGradient(eps=radius)) == 0


class CountingRippled(Rippled):
    """The rippled model, and the most images that it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def forward(self, x: Tensor) -> Tensor:
        self.most = max(self.most, len(x))
        return super().forward(x)


@pytest.mark.parametrize("attack", [SmoothedGradient, WideDifferences])
@pytest.mark.parametrize("limit", ["TOGETHER", "MOST_NUMBERS"])
def test_copies_come_a_few_at_a_time_and_are_the_same_however_many(
    attack: type[SmoothedGradient | WideDifferences], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.full((4, 1, 2, 2), 0.6, dtype=torch.float64)
    labels = torch.zeros(4, dtype=torch.int64)

    def found() -> tuple[Tensor, int]:
        model, draws = CountingRippled(), torch.Generator().manual_seed(0)
        return attack(eps=0.05, steps=3)(model, images, labels, generator=draws), model.most

    together, many = found()
    monkeypatch.setattr(blurred, limit, {"TOGETHER": 8, "MOST_NUMBERS": 8 * 4}[limit])
    apart, few = found()
    assert many >= 4 * 8 and few == 8  # two copies of each image
    torch.testing.assert_close(apart, together)


class Jumping(nn.Module):
    """A linear model whose weights get fresh noise in every pass."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        weight = 1 + self.noise * torch.randn_like(x)
        margin = (weight * (x - 0.5)).sum(dim=1)
        return torch.stack((margin, -margin), dim=1)


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
def test_draws_follow_from_the_variance(noise: float) -> None:
    images, labels = torch.rand(16, 1, 8, 8), torch.zeros(16, dtype=torch.int64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        measured = draws_needed(Jumping(noise), images, labels)
    # 64 weights 1 with variance noise^2 each: the ratio is noise^2, and half its length is asked.
    expected = max(1, math.ceil(4 * noise**2))
    assert abs(measured - expected) <= max(1, expected // 3)


def test_averaging_beats_single_passes() -> None:
    images = torch.full((32, 1, 8, 8), 0.52)
    labels = torch.zeros(32, dtype=torch.int64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Jumping(4.0)
        found = ExpectationOverDraws(eps=0.03, steps=5, draws=64)(model, images, labels)
        single = ExpectationOverDraws(eps=0.03, steps=5, draws=1)(model, images, labels)
    averaged, alone = ((each - images).sum(dim=(1, 2, 3)).mean() for each in (found, single))
    assert averaged < alone < 0


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ExpectationOverDraws(eps=0.1, draws=0), "expected draws >= 1 or None, got 0"),
        (lambda: SmoothedGradient(eps=0.1, widths=()), "expected widths > 0, at least one"),
        (lambda: WideDifferences(eps=0.1, widths=(0.0,)), "expected widths > 0, at least one"),
        (lambda: Surrogate(eps=0.1, rounds=0), "expected rounds >= 1, got 0"),
        (lambda: StraightThrough(eps=0.1, restarts=0), "expected restarts >= 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(build: object, sentence: str) -> None:
    assert callable(build)
    with pytest.raises(HyperparameterError, match=sentence):
        build()

"""The curve against attacks made one by one."""

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, Attack, RandomNoise, with_eps
from steadygrad.errors import HyperparameterError, ImageError, LabelError, ModelError
from steadygrad.evaluation import (
    AccuracyCurve,
    accuracy_curve,
    bisected_curve,
    parse_eps_grid,
    wilson_interval,
    worst_case,
)
from steadygrad.evaluation.curve import surviving
from steadygrad.evaluation.statistics import bounded_mean_interval

GRID = parse_eps_grid("0:0.2:0.04,0.1")
DETERMINISTIC = [FGSM(eps=0), PGD(eps=0, steps=4, random_start=False)]
Data = tuple[Tensor, Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capricious:
    """Turns the images black, but only at the radii it likes: breaks whatever is not a 0."""

    eps: float
    likes: tuple[float, ...]

    def __call__(
        self,
        model: object,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return torch.zeros_like(images) if self.eps in self.likes else images


def brightest(images: Tensor) -> Tensor:
    return images.flatten(1)


def threshold_images(n: int = 40) -> Data:
    """Two pixels, 0.5 + gap and 0.5 - gap: an attack on ``brightest`` breaks at eps = gap."""
    gaps = torch.linspace(0.001, 0.395, n, dtype=torch.float64)
    images = torch.stack((0.5 + gaps, 0.5 - gaps), dim=1).reshape(n, 2, 1, 1)
    return images, torch.zeros(n, dtype=torch.int64)


def right_at(
    model: nn.Module, attack: Attack, images: Tensor, labels: Tensor, eps: float
) -> Tensor:
    """One attack on all images at once, from nothing."""
    attacked = with_eps(attack, eps)(model, images, labels)
    with torch.no_grad():
        return model(attacked).argmax(dim=1) == labels


@pytest.mark.parametrize("attack", DETERMINISTIC, ids=repr)
def test_equals_brute_force_for_every_example(
    attack: Attack, trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out
    right = torch.stack([right_at(trained, attack, images, labels, eps) for eps in GRID])
    stands = right.cumprod(dim=0).bool()  # broken once, broken for good
    first_broken = torch.tensor(
        [
            next((eps for eps, ok in zip(GRID, column, strict=True) if not ok), math.inf)
            for column in right.T.tolist()
        ],
        dtype=torch.float64,
    )

    reused = accuracy_curve(trained, images, labels, attack, GRID, batch_size=64)
    assert [point.correct for point in reused.points] == stands.sum(dim=1).tolist()
    assert torch.equal(reused.broken_at, first_broken)

    separate = accuracy_curve(
        trained, images, labels, attack, GRID, batch_size=64, reuse_broken=False
    )
    assert [point.correct for point in separate.points] == right.sum(dim=1).tolist()
    assert torch.equal(separate.broken_at, first_broken)
    assert reused.reuse_broken and not separate.reuse_broken
    assert 0 < reused.points[-1].correct < reused.points[0].correct < len(images)


@pytest.mark.parametrize("curve_of", [accuracy_curve, bisected_curve])
def test_finds_the_known_radius_of_every_example(curve_of: type[object]) -> None:
    images, labels = threshold_images()
    grid = parse_eps_grid("0:0.4:0.05")
    curve = curve_of(brightest, images, labels, FGSM(eps=0), grid, batch_size=7)
    gaps = images.flatten(1)[:, 0] - 0.5
    # At eps = gap the two pixels tie, and argmax keeps class 0: it takes more than the gap.
    expected = [min((eps for eps in grid if eps > gap), default=math.inf) for gap in gaps.tolist()]
    assert curve.broken_at.tolist() == expected
    assert [point.correct for point in curve.points] == [
        sum(broken > eps for broken in expected) for eps in grid
    ]


@pytest.mark.parametrize("attack", DETERMINISTIC, ids=repr)
def test_bisection_equals_the_sweep_where_attacks_grow_with_eps(
    attack: Attack, trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out
    sweep = accuracy_curve(trained, images, labels, attack, GRID)
    bisected = bisected_curve(trained, images, labels, attack, GRID)
    right = torch.stack([right_at(trained, attack, images, labels, eps) for eps in GRID])
    is_monotone = (right[1:] <= right[:-1]).all(dim=0)
    assert is_monotone.double().mean() > 0.9
    assert torch.equal(sweep.broken_at[is_monotone], bisected.broken_at[is_monotone])
    assert (bisected.broken_at >= sweep.broken_at).all()
    assert bisected.search == "bisection" and bisected.reuse_broken


def test_bisection_brackets_each_example_between_two_radii_really_tried() -> None:
    tried: list[tuple[float, int]] = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Recording:
        eps: float

        def __call__(
            self,
            model: object,
            images: Tensor,
            labels: Tensor,
            *,
            generator: torch.Generator | None = None,
        ) -> Tensor:
            tried.append((self.eps, len(images)))
            return FGSM(eps=self.eps)(brightest, images, labels)

    images, labels = threshold_images(64)
    grid = tuple(index / 40 for index in range(16))
    bisected_curve(brightest, images, labels, Recording(eps=0), grid, batch_size=1000)
    attacks_per_example = sum(n for _, n in tried) / 64
    assert attacks_per_example == 4  # log2 of the 16 ways to end: 15 radii, or never
    assert len({eps for eps, _ in tried}) == len(tried)


def test_broken_examples_are_not_attacked_again_unless_asked() -> None:
    images, labels = threshold_images()
    for reuse_broken in (True, False):
        sizes = []

        def model(images: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(len(images))
            return brightest(images)

        curve = accuracy_curve(
            model, images, labels, FGSM(eps=0), [0.1, 0.2, 0.3], reuse_broken=reuse_broken
        )
        standing = [40, *(point.correct for point in curve.points[:-1])]
        attacked = standing if reuse_broken else [40, 40, 40]
        assert sizes == [40, *(n for n in attacked for _ in range(2))]  # gradient, then verdict


def test_separate_radii_may_rise_and_reuse_may_not() -> None:
    images = torch.zeros(4, 2, 1, 1)
    images[:, 1] = 1.0
    labels = torch.ones(4, dtype=torch.int64)
    attack = Capricious(eps=0, likes=(0.1,))
    grid = (0.05, 0.1, 0.2)
    reused = accuracy_curve(brightest, images, labels, attack, grid)
    separate = accuracy_curve(brightest, images, labels, attack, grid, reuse_broken=False)
    assert [point.accuracy for point in reused.points] == [1.0, 0.0, 0.0]
    assert [point.accuracy for point in separate.points] == [1.0, 0.0, 1.0]
    assert separate.broken_at.tolist() == reused.broken_at.tolist() == [0.1] * 4


@pytest.mark.parametrize("attack", [PGD(eps=0, steps=2), RandomNoise(eps=0, samples=3)], ids=repr)
@pytest.mark.parametrize("curve_of", [accuracy_curve, bisected_curve])
def test_a_seed_decides_everything(
    attack: Attack, curve_of: type[object], trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out

    def broken(seed: int) -> Tensor:
        return curve_of(trained, images, labels, attack, GRID, batch_size=64, seed=seed).broken_at

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = broken(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, broken(0))
    assert not torch.equal(first, broken(1))


def test_every_batch_has_draws_of_its_own() -> None:
    noisy: list[Tensor] = []

    def model(images: Tensor) -> Tensor:
        noisy.append(images)
        return images.flatten(1) * 0

    images = torch.full((6, 2, 1, 1), 0.5)
    accuracy_curve(
        model, images, torch.zeros(6).long(), RandomNoise(eps=0), [0.1, 0.2], batch_size=2
    )
    disturbed = torch.stack(noisy[3:])  # the first three calls are for the clean accuracy
    changes = (disturbed - 0.5).flatten(1) / torch.tensor([0.1] * 3 + [0.2] * 3).unsqueeze(1)
    assert len(changes) == 6
    for one in range(6):
        for other in range(one):
            assert not torch.allclose(changes[one], changes[other], atol=1e-3)


@pytest.mark.parametrize("curve_of", [accuracy_curve, bisected_curve])
def test_nan_on_disturbed_images_alone_is_noticed(curve_of: type[object]) -> None:
    def model(images: Tensor) -> Tensor:
        return images.flatten(1) / (images.flatten(1) == 0.5).all(dim=1, keepdim=True)

    images, labels = torch.full((6, 2, 1, 1), 0.5), torch.zeros(6).long()
    with pytest.raises(ModelError, match="NaN or infinity"):
        curve_of(model, images, labels, RandomNoise(eps=0), [0.0, 0.1])


def test_a_radius_is_attacked_alike_in_any_grid(trained: nn.Module, held_out: Data) -> None:
    images, labels = held_out
    attack = PGD(eps=0, steps=2)
    alone = accuracy_curve(trained, images, labels, attack, [0.1], reuse_broken=False)
    among = accuracy_curve(trained, images, labels, attack, GRID, reuse_broken=False)
    assert alone.points[0] == among.points[GRID.index(0.1)]


def test_eps_is_sorted_and_zero_is_clean_accuracy(trained: nn.Module, held_out: Data) -> None:
    images, labels = held_out
    curve = accuracy_curve(trained, images, labels, FGSM(eps=0.3), [0.1, 0.0])
    with torch.no_grad():
        clean = (trained(images).argmax(dim=1) == labels).sum().item()
    assert curve.eps_values == (0.0, 0.1)
    assert curve.points[0].correct == clean == int((curve.broken_at > 0).sum())


@pytest.mark.parametrize("curve_of", [accuracy_curve, bisected_curve])
def test_nobody_is_attacked_when_nobody_is_right(curve_of: type[object]) -> None:
    images, labels = threshold_images()
    curve = curve_of(brightest, images, labels + 1, PGD(eps=0), [0.0, 0.1])
    assert [point.correct for point in curve.points] == [0, 0]
    assert curve.broken_at.eq(0).all()


@pytest.mark.parametrize("options", [{}, {"reuse_broken": False}])
def test_progress_reaches_the_end(
    options: dict[str, bool], trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out
    for curve_of in (accuracy_curve, bisected_curve):
        seen: list[tuple[int, int]] = []
        curve_of(
            trained,
            images,
            labels,
            FGSM(eps=0),
            GRID,
            batch_size=64,
            progress=lambda done, total, seen=seen: seen.append((done, total)),
            **(options if curve_of is accuracy_curve else {}),
        )
        assert seen == sorted(seen) and len(seen) > len(GRID)
        assert {total for _, total in seen} == {len(GRID) * len(images)}
        assert seen[-1][0] == seen[-1][1]


def test_json_has_the_promised_form(trained: nn.Module, held_out: Data) -> None:
    images, labels = held_out
    curve = accuracy_curve(trained, images, labels, PGD(eps=0, steps=3), [0.0, 0.1])
    written = json.loads(json.dumps(curve.to_json()))
    assert set(written) == {"attack", "results", "mean_accuracy", "mean_accuracy_ci95"}
    assert written["attack"]["name"] == "pgd" and written["attack"]["steps"] == 3
    assert "eps" not in written["attack"]
    for result, point in zip(written["results"], curve.points, strict=True):
        assert set(result) == {"eps", "accuracy", "n", "ci95"}
        assert result["n"] == 300 and result["accuracy"] == point.correct / 300
        assert tuple(result["ci95"]) == wilson_interval(point.correct, 300)


def test_mean_accuracy_is_the_mean_over_the_grid() -> None:
    images, labels = threshold_images()
    curve = accuracy_curve(brightest, images, labels, FGSM(eps=0), [0.0, 0.1, 0.4])
    by_hand = (40 + sum(gap > 0.1 for gap in (images.flatten(1)[:, 0] - 0.5)).item() + 0) / 120
    assert curve.mean_accuracy == pytest.approx(by_hand, abs=1e-12)


def test_the_mean_has_an_interval_over_the_examples() -> None:
    grid = (0.0, 0.1, 0.2, 0.3)
    broken_at = torch.tensor([0.0, 0.1, 0.3, math.inf] * 25, dtype=torch.float64)
    points = surviving(broken_at, grid)
    curve = AccuracyCurve({"name": "made up"}, points, broken_at, seed=0, seconds=0.0)
    shares = torch.tensor([0.0, 0.25, 0.75, 1.0], dtype=torch.float64)  # of the grid, survived
    assert curve.mean_accuracy == shares.mean().item()
    assert curve.mean_ci95 == bounded_mean_interval(shares.repeat(25))
    # The fates of an example at two radii hang together: this is not 400 independent trials.
    of_400 = wilson_interval(200, 400)
    assert curve.mean_ci95[1] - curve.mean_ci95[0] > 1.4 * (of_400[1] - of_400[0])
    # Radii attacked separately do not tell which examples survived how often.
    separate = dataclasses.replace(curve, search="separate")
    assert separate.mean_ci95 == wilson_interval(50, 100)
    written = curve.to_json()
    assert written["mean_accuracy"] == 0.5
    assert tuple(written["mean_accuracy_ci95"]) == curve.mean_ci95


def test_worst_case_takes_the_smallest_radius_of_every_example(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out
    attacks = [FGSM(eps=0), PGD(eps=0), RandomNoise(eps=0, samples=5)]
    curves = [accuracy_curve(trained, images, labels, attack, GRID) for attack in attacks]
    worst = worst_case(curves)
    for row in range(len(images)):
        assert worst.broken_at[row] == min(curve.broken_at[row] for curve in curves)
    for index, point in enumerate(worst.points):
        assert point.correct == (worst.broken_at > point.eps).sum()
        assert point.correct <= min(curve.points[index].correct for curve in curves)
    assert [one["name"] for one in worst.attack["attacks"]] == ["fgsm", "pgd", "random-noise"]
    assert worst_case([curves[0]]).points == curves[0].points


def test_worst_case_refuses_what_does_not_belong_together() -> None:
    images, labels = threshold_images()

    def curve(n: int, *grid: float) -> AccuracyCurve:
        return accuracy_curve(brightest, images[:n], labels[:n], FGSM(eps=0), grid)

    with pytest.raises(HyperparameterError, match="at least one curve"):
        worst_case([])
    with pytest.raises(HyperparameterError, match=r"n=40 at \(0.1,\) and n=39 at \(0.1,\)"):
        worst_case([curve(40, 0.1), curve(39, 0.1)])
    with pytest.raises(HyperparameterError, match="same examples and radii"):
        worst_case([curve(40, 0.1), curve(40, 0.2)])


@pytest.mark.parametrize("curve_of", [accuracy_curve, bisected_curve])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"eps_values": [0.1, 0.1]}, HyperparameterError, "every eps once, got 0.1 twice"),
        ({"eps_values": []}, HyperparameterError, "at least one eps"),
        ({"eps_values": [8]}, HyperparameterError, "did you mean 8/255"),
        ({"batch_size": 0}, HyperparameterError, "batch_size >= 1, got 0"),
        ({"images": torch.full((40, 2, 1, 1), 200.0)}, ImageError, "divide by 255"),
        ({"images": torch.full((40, 2, 1, 1), 200).byte()}, ImageError, "torch.uint8"),
        ({"images": torch.full((40, 2, 1, 1), math.nan)}, ImageError, "NaN"),
        ({"images": torch.zeros(40, 2)}, ImageError, r"shape \(40, 2\)"),
        ({"labels": torch.zeros(40)}, LabelError, "int64"),
        ({"labels": torch.full((40,), 2)}, LabelError, "from 0 to 1, got 2"),
        ({"labels": torch.zeros(39).long()}, LabelError, r"shape \(40,\), got \(39,\)"),
        ({"model": lambda x: x}, ModelError, "logits of shape"),
        ({"model": lambda x: x.flatten(1) * math.nan}, ModelError, "finite logits"),
        ({"attack": lambda m, x, y, generator: x}, HyperparameterError, "is a dataclass"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    curve_of: type[object], change: dict[str, object], error: type[Exception], message: str
) -> None:
    images, labels = threshold_images()
    arguments = {
        "model": brightest,
        "images": images,
        "labels": labels,
        "attack": FGSM(eps=0),
        "eps_values": [0.0, 0.1],
    }
    with pytest.raises(error, match=message) as caught:
        curve_of(**(arguments | change))
    assert "\n" not in str(caught.value)

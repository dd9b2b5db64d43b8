"""NES is itself: its exact count of queries, and a slow version."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.tiny_classifier import WEIGHT, batch, generator, network
from steadygrad.attacks import ATTACKS, NES, PerturbationBall, describe_attack, with_eps
from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    UnknownNameError,
)

SMALL = NES(eps=0.1, queries=96, steps=4)


class Witness:
    """A model that notes, for each call, the points it was shown."""

    def __init__(self) -> None:
        self.calls: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.calls.append(images.clone())
        return network(images)

    @property
    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


# --- the queries -------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "pairs"),
    [
        ({}, (250,) * 8),
        ({"stop_early": True}, (250,) * 4 + (249,) * 4),
        ({"queries": 10, "steps": 3}, (2, 2, 1)),
        ({"queries": 9, "steps": 3, "stop_early": True}, (1, 1, 1)),
    ],
)
def test_pairs_share_out_the_queries(settings: dict[str, Any], pairs: tuple[int, ...]) -> None:
    attack = NES(eps=0.1, **settings)
    assert attack.pairs == pairs
    assert 2 * sum(pairs) + attack.stop_early * attack.steps == attack.queries


@pytest.mark.parametrize("stop_early", [False, True])
@pytest.mark.parametrize(("queries", "steps"), [(96, 4), (102, 4), (26, 4), (12, 4), (6, 2)])
@pytest.mark.parametrize("samples_per_batch", [2, 5, 64, 1000])
def test_every_image_that_holds_is_asked_about_exactly_so_often(
    stop_early: bool, queries: int, steps: int, samples_per_batch: int
) -> None:
    asked: Counter[int] = Counter()
    largest = 0

    def counting(points: Tensor) -> Tensor:
        """Tell the images apart by their grey, far apart against eps; every guess is right."""
        nonlocal largest
        largest = max(largest, len(points))
        owners = (points.mean(dim=(1, 2, 3)) * 10).round().long() - 1
        asked.update(owners.tolist())
        return torch.nn.functional.one_hot(owners, 9).double()

    images = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).view(9, 1, 1, 1).expand(-1, 1, 3, 3)
    attack = NES(
        eps=0.01,
        queries=queries,
        steps=steps,
        stop_early=stop_early,
        samples_per_batch=samples_per_batch,
    )
    attack(counting, images, torch.arange(9), generator=generator())
    assert asked == dict.fromkeys(range(9), queries)
    assert largest <= samples_per_batch


def test_a_batch_is_filled_from_several_images() -> None:
    witness, (images, labels) = Witness(), batch(6)
    attack = NES(eps=0.1, queries=20, steps=1, samples_per_batch=40)
    attack(witness, images, labels, generator=generator())
    assert witness.sizes == [40, 40, 40]


def test_an_image_that_breaks_early_costs_no_more(
    trained: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = (tensor[:40] for tensor in held_out)
    labels = labels.clone()
    labels[7] = (labels[7] + 1) % 10  # broken from the start
    attack = NES(eps=0.4, queries=408, steps=8, stop_early=True, random_start=False)
    sizes: list[int] = []

    def counting(points: Tensor) -> Tensor:
        sizes.append(len(points))
        return trained(points)

    adversarial = attack(counting, images, labels, generator=generator())
    assert sum(sizes) < 0.8 * 40 * 408
    assert torch.equal(adversarial[7], images[7])
    with torch.no_grad():
        broken = trained(adversarial).argmax(dim=1) != labels
    assert broken.float().mean() > 0.5


def test_the_fate_of_neighbours_plays_no_part() -> None:
    images, labels = batch()
    wrong_neighbours = network(images).argmin(dim=1)
    wrong_neighbours[2] = labels[2] = network(images).argmax(dim=1)[2]
    attack = NES(eps=0.1, queries=68, steps=4, stop_early=True)
    first = attack(network, images, labels, generator=generator())
    second = attack(network, images, wrong_neighbours, generator=generator())
    torch.testing.assert_close(first[2], second[2], rtol=0, atol=1e-12)


# --- a slow version ----------------------------------------------------------


def slow_objective(loss: str, logits: list[float], label: int) -> float:
    others = [z for k, z in enumerate(logits) if k != label]
    total = sum(math.exp(z) for z in logits)
    ranked = sorted(logits, reverse=True)
    margin = max(others) - logits[label]
    return {
        "logit": -logits[label],
        "probability": -math.exp(logits[label]) / total,
        "cross-entropy": math.log(total) - logits[label],
        "margin": margin,
        "dlr": margin / (ranked[0] - ranked[2]),
    }[loss]


@pytest.mark.parametrize("loss", ["logit", "probability", "cross-entropy", "margin", "dlr"])
@pytest.mark.parametrize("random_start", [False, True])
def test_is_its_equation(loss: Any, random_start: bool) -> None:
    eps, steps, sigma, step_size = 0.2, 3, 0.01, 0.06
    images, labels = batch()
    attack = NES(
        eps=eps, queries=24, steps=steps, sigma=sigma, step_size=step_size, loss=loss,
        random_start=random_start, samples_per_batch=6,
    )  # fmt: skip
    adversarial = attack(network, images, labels, generator=generator(8))

    shared = generator(8)
    starts = PerturbationBall(images, eps).draw_uniform(shared) if random_start else images
    seeds = torch.randint(2**63 - 1, (6,), generator=shared).tolist()
    for image, start, label, seed, found in zip(
        images, starts, labels.tolist(), seeds, adversarial, strict=True
    ):
        own, x, centre = generator(seed), start.flatten().tolist(), image.flatten().tolist()
        for _ in range(steps):
            gradient = [0.0] * 9
            for _ in range(4):
                u = torch.empty(9, dtype=torch.float64).normal_(generator=own).tolist()
                values = []
                for sign in (1, -1):
                    point = [x[i] + sign * sigma * u[i] for i in range(9)]
                    weighted = [sum(row[i] * point[i] for i in range(9)) for row in WEIGHT.tolist()]
                    logits = [3 * math.tanh(z) for z in weighted]
                    values.append(slow_objective(loss, logits, label))
                for i in range(9):
                    gradient[i] += (values[0] - values[1]) * u[i] / (2 * sigma * 4)
            for i in range(9):
                moved = x[i] + step_size * ((gradient[i] > 0) - (gradient[i] < 0))
                x[i] = min(max(moved, centre[i] - eps, 0.0), centre[i] + eps, 1.0)
        torch.testing.assert_close(found.flatten().tolist(), x, rtol=0, atol=1e-12)


def test_reaches_the_corner_of_a_linear_model() -> None:
    def linear(images: Tensor) -> Tensor:
        logit = images.flatten(1) @ torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
        return torch.stack((logit, torch.zeros_like(logit)), dim=1)

    image = torch.tensor([0.5, 0.5, 0.1, 0.9], dtype=torch.float64).reshape(1, 1, 2, 2)
    attack = NES(eps=0.2, queries=2000, steps=2, step_size=0.2)
    adversarial = attack(linear, image, torch.tensor([0]), generator=generator())
    expected = torch.tensor([0.3, 0.7, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(adversarial.flatten(), expected)


@pytest.mark.parametrize("loss", ["cross-entropy", "probability"])
def test_the_loss_of_a_confident_network_does_not_round_away(loss: Any) -> None:
    """At a margin of 25 float32 has no loss left to compare; the logits still differ."""
    images, labels = torch.full((1, 1, 3, 3), 0.5), torch.tensor([0])

    def confident(points: Tensor) -> Tensor:
        logit = 25 + 40 * (points - 0.5).mean(dim=(1, 2, 3))
        return torch.stack((logit, torch.zeros_like(logit)), dim=1)

    losses = torch.nn.functional.cross_entropy(
        confident(images.repeat(2, 1, 1, 1)), labels.repeat(2), reduction="none"
    )
    assert (losses == 0).all()
    attack = NES(eps=0.1, queries=200, steps=1, step_size=0.1, random_start=False, loss=loss)
    adversarial = attack(confident, images, labels, generator=generator())
    assert (adversarial < 0.5).float().mean() > 0.7


# --- what else a caller may count on ------------------------------------------


def test_without_a_generator_torchs_own_decides() -> None:
    images, labels = batch()
    with torch.random.fork_rng():
        results = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            results.append(SMALL(network, images, labels))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_never_asks_for_a_gradient_in_any_grad_mode() -> None:
    images, labels = batch()

    def without_gradient(points: Tensor) -> Tensor:
        assert not points.requires_grad
        assert not torch.is_grad_enabled()
        return torch.from_numpy(network(points).numpy().round(6))

    expected = SMALL(without_gradient, images, labels, generator=generator())
    with torch.inference_mode():
        result = SMALL(without_gradient, images.clone(), labels.clone(), generator=generator())
    assert torch.equal(result, expected)
    assert torch.is_grad_enabled()


def test_eps_zero_asks_nothing_and_returns_a_copy() -> None:
    witness, (images, labels) = Witness(), batch()
    adversarial = with_eps(SMALL, 0.0)(witness, images, labels)
    assert torch.equal(adversarial, images)
    assert adversarial.data_ptr() != images.data_ptr()
    assert not witness.calls


def test_a_flat_model_moves_nothing() -> None:
    images, labels = batch()
    attack = NES(eps=0.1, queries=16, steps=2, random_start=False)
    flat = attack(lambda x: torch.zeros(len(x), 4), images, labels, generator=generator())
    assert torch.equal(flat, images)


def test_more_queries_break_more(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    images, labels = (tensor[:100] for tensor in held_out)
    standing = []
    for queries in (16, 160, 800):
        attack = NES(eps=0.15, queries=queries, steps=8)
        adversarial = attack(trained, images, labels, generator=generator())
        with torch.no_grad():
            standing.append(int((trained(adversarial).argmax(dim=1) == labels).sum()))
    assert standing[0] > standing[1] > standing[2]


def test_has_a_name_and_describes_itself() -> None:
    assert ATTACKS.parse("nes:eps=0.1,queries=96,steps=4") == SMALL
    assert describe_attack(SMALL)["queries"] == 96


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"eps": 8.0}, HyperparameterError, r"eps in \[0, 1\], got 8.0; did you mean 8/255"),
        ({"steps": 0}, HyperparameterError, "steps >= 1, got 0"),
        ({"queries": 15}, HyperparameterError, "queries >= 16 for 8 steps, got 15"),
        ({"queries": 17}, HyperparameterError, "queries in pairs, got 17"),
        (
            {"queries": 23, "stop_early": True},
            HyperparameterError,
            "queries >= 24 for 8 steps, got 23",
        ),
        (
            {"queries": 25, "stop_early": True},
            HyperparameterError,
            "queries in pairs besides 8 that test whether the attack has succeeded, got 25",
        ),
        ({"sigma": 0.0}, HyperparameterError, r"sigma in \(0, 1\], got 0.0"),
        ({"step_size": 0.0}, HyperparameterError, r"step_size in \(0, 1\], got 0.0"),
        ({"samples_per_batch": 1}, HyperparameterError, "samples_per_batch >= 2, got 1"),
        ({"loss": "hinge"}, UnknownNameError, "loss one of .*margin.*probability, got 'hinge'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        NES(**{"eps": 0.1, **settings})


@pytest.mark.parametrize("stop_early", [False, True])
def test_bad_images_labels_and_models_are_refused(stop_early: bool) -> None:
    images, labels = batch(3)
    attack = NES(eps=0.1, queries=6, steps=2, stop_early=stop_early)
    with pytest.raises(ImageError, match="divide by 255"):
        attack(network, images * 255, labels)
    with pytest.raises(LabelError, match=r"labels of shape \(3,\), got \(2,\)"):
        attack(network, images, labels[:2])
    with pytest.raises(LabelError, match="labels from 0 to 3, got 5"):
        attack(network, images, torch.tensor([0, 5, 1]))
    with pytest.raises(ModelError, match=r"logits of shape \(\d+, classes\) from the model, got"):
        attack(lambda x: x, images, labels)
    with pytest.raises(ModelError, match="at least 3 classes for the dlr loss, got 2"):
        NES(eps=0.1, queries=4, steps=2, loss="dlr")(
            lambda x: network(x)[:, :2], images, labels % 2
        )
    with pytest.raises(ModelError, match="NaN or infinity for 3 of 3 images"):
        attack(lambda x: network(x) * torch.nan, images, labels)

"""The gradient attacks are themselves: closed forms, and slow versions written as loops."""

import math

import pytest
import torch
from torch import Tensor

from attacks.references import CLASSES, IMAGES, LABELS, N, SlowClimb, as_images, network
from steadygrad.attacks import (
    FGSM,
    PGD,
    Attack,
    IterativeFGSM,
    L2Ball,
    MomentumIterative,
    PerturbationBall,
)
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.losses import Loss
from steadygrad.errors import HyperparameterError, UnknownNameError

LABEL_TENSOR = torch.from_numpy(LABELS)
TARGETS = (LABELS + 1) % CLASSES
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


@each_norm
@pytest.mark.parametrize("eps", [0.01, 0.1, 0.6])
def test_fgsm_is_its_equation(eps: float, norm: Norm) -> None:
    slow = SlowClimb(eps=eps, steps=1, step_size=eps, norm=norm)
    expected = [slow(x, x, y) for x, y in zip(IMAGES, LABELS, strict=True)]
    adversarial = FGSM(eps=eps, norm=norm)(network, as_images(IMAGES), LABEL_TENSOR)
    torch.testing.assert_close(adversarial, as_images(expected), rtol=0, atol=1e-8)


@each_norm
@pytest.mark.parametrize("loss", ["cross-entropy", "margin", "dlr"])
@pytest.mark.parametrize("is_targeted", [False, True], ids=["away", "towards"])
@pytest.mark.parametrize(
    ("eps", "steps", "step_size", "reach"),
    [(0.1, 8, None, 1.85), (0.3, 5, 0.2, 1.85), (0.6, 4, None, 2)],
)
def test_pgd_is_its_equation(
    eps: float,
    steps: int,
    step_size: float | None,
    reach: float,
    is_targeted: bool,
    loss: Loss,
    norm: Norm,
) -> None:
    attack = PGD(
        eps=eps,
        steps=steps,
        step_size=step_size,
        reach=reach,
        target="given" if is_targeted else None,
        loss=loss,
        norm=norm,
    )
    images = as_images(IMAGES)
    ball = L2Ball(images, eps) if norm == "l2" else PerturbationBall(images, eps)
    starts = ball.draw_uniform(torch.Generator().manual_seed(5))
    step = reach * eps / steps if step_size is None else step_size
    slow = SlowClimb(eps=eps, steps=steps, step_size=step, norm=norm, loss=loss)
    expected = [
        slow(x, start, int(label), int(target) if is_targeted else None)
        for x, start, label, target in zip(
            IMAGES, starts.flatten(1).numpy(), LABELS, TARGETS, strict=True
        )
    ]
    adversarial = attack(
        network,
        images,
        LABEL_TENSOR,
        generator=torch.Generator().manual_seed(5),
        targets=torch.from_numpy(TARGETS) if is_targeted else None,
    )
    torch.testing.assert_close(adversarial, as_images(expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("steps", "step_size"), [(10, None), (3, 0.05)])
def test_iterative_fgsm_is_its_equation(steps: int, step_size: float | None) -> None:
    step = 0.2 / steps if step_size is None else step_size
    slow = SlowClimb(eps=0.2, steps=steps, step_size=step)
    expected = [slow(x, x, y) for x, y in zip(IMAGES, LABELS, strict=True)]
    attack = IterativeFGSM(eps=0.2, steps=steps, step_size=step_size)
    adversarial = attack(network, as_images(IMAGES), LABEL_TENSOR)
    torch.testing.assert_close(adversarial, as_images(expected), rtol=0, atol=1e-12)


@each_norm
@pytest.mark.parametrize(("eps", "steps", "decay"), [(0.2, 10, 1.0), (0.6, 5, 0.5), (0.3, 6, 0.0)])
def test_momentum_is_its_equation(eps: float, steps: int, decay: float, norm: Norm) -> None:
    slow = SlowClimb(eps=eps, steps=steps, step_size=eps / steps, norm=norm, decay=decay)
    expected = [slow(x, x, y) for x, y in zip(IMAGES, LABELS, strict=True)]
    attack = MomentumIterative(eps=eps, steps=steps, decay=decay, norm=norm)
    adversarial = attack(network, as_images(IMAGES), LABEL_TENSOR)
    torch.testing.assert_close(adversarial, as_images(expected), rtol=0, atol=1e-7)


def test_momentum_without_decay_is_iterative_fgsm() -> None:
    images = as_images(IMAGES)
    plain = IterativeFGSM(eps=0.3, steps=6)(network, images, LABEL_TENSOR)
    attack = MomentumIterative(eps=0.3, steps=6, decay=0.0)
    assert torch.equal(attack(network, images, LABEL_TENSOR), plain)


def test_a_gradient_that_vanishes_later_does_not_stop_momentum() -> None:
    calls = 0

    def once(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return network(images) * (1.0 if calls == 1 else 0.0)

    images = as_images(IMAGES).clamp(0.3, 0.7)
    moved = MomentumIterative(eps=0.2, steps=4)(once, images, LABEL_TENSOR) - images
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.2))


def test_a_tiny_gradient_counts_as_much_as_a_large_one() -> None:
    images = as_images(IMAGES)
    for attack in (
        FGSM(eps=0.3, norm="l2"),
        PGD(eps=0.3, norm="l2", random_start=False, loss="margin"),
        MomentumIterative(eps=0.3),
    ):
        large, tiny = (
            attack(lambda x, s=scale: s * network(x), images, LABEL_TENSOR)
            for scale in (1e-3, 1e-170)
        )
        # The cross-entropy of small logits is linear in them, up to their square.
        torch.testing.assert_close(tiny, large, rtol=0, atol=1e-3)


def linear(images: Tensor) -> Tensor:
    """Two classes, ``w'x`` and 0: the loss at class 0 falls along w, everywhere."""
    logit = images.flatten(1) @ torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
    return torch.stack((logit, torch.zeros_like(logit)), dim=1)


# From the far corner it is two eps: the default steps, 1.85 eps together, need not arrive.
@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.2),
        IterativeFGSM(eps=0.2),
        MomentumIterative(eps=0.2),
        PGD(eps=0.2, random_start=False),
        PGD(eps=0.2, random_start=False, loss="margin"),
        PGD(eps=0.2, reach=2.0),
        PGD(eps=0.2, step_size=0.05, steps=8),
        PGD(eps=0.2, step_size=0.05, steps=8, restarts=2),
    ],
    ids=repr,
)
def test_reaches_the_corner_of_a_linear_model(attack: Attack) -> None:
    image = torch.tensor([0.5, 0.5, 0.1, 0.9], dtype=torch.float64).reshape(1, 1, 2, 2)
    adversarial = attack(
        linear, image, torch.tensor([0]), generator=torch.Generator().manual_seed(0)
    )
    expected = torch.tensor([0.3, 0.7, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(adversarial.flatten(), expected)


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.2, norm="l2"),
        MomentumIterative(eps=0.2, norm="l2"),
        PGD(eps=0.2, norm="l2", random_start=False),
        PGD(eps=0.2, norm="l2", steps=60, step_size=0.05),
    ],
    ids=repr,
)
def test_reaches_the_farthest_point_of_the_round_ball_of_a_linear_model(attack: Attack) -> None:
    image = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    adversarial = attack(
        linear, image, torch.tensor([0]), generator=torch.Generator().manual_seed(0)
    )
    weight = torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
    expected = 0.5 - 0.2 * weight / weight.norm()
    torch.testing.assert_close(adversarial.flatten(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fraction", [0.999, 1.001])
def test_l2_fgsm_crosses_a_linear_boundary_at_its_distance(fraction: float) -> None:
    image = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    weight = torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
    distance = 1.0 / weight.norm().item()  # w'x + 2 is 1 at the image, and 0 on the boundary

    def shifted(images: Tensor) -> Tensor:
        return linear(images) + torch.tensor([2.0, 0.0], dtype=torch.float64)

    attack = FGSM(eps=fraction * distance, norm="l2")
    adversarial = attack(shifted, image, torch.tensor([0]))
    assert shifted(adversarial).argmax().item() == (fraction > 1)


def test_fgsm_is_one_full_step_of_pgd_without_start() -> None:
    images, labels = as_images(IMAGES), LABEL_TENSOR
    one = PGD(eps=0.1, steps=1, step_size=0.1, random_start=False)(network, images, labels)
    assert torch.equal(one, FGSM(eps=0.1)(network, images, labels))


@each_norm
def test_pgd_returns_its_random_start_where_there_is_no_gradient(norm: Norm) -> None:
    images, labels = as_images(IMAGES), LABEL_TENSOR
    ball = L2Ball(images, 0.1) if norm == "l2" else PerturbationBall(images, 0.1)
    start = ball.draw_uniform(torch.Generator().manual_seed(2))
    adversarial = PGD(eps=0.1, norm=norm)(
        lambda x: 0 * network(x), images, labels, generator=torch.Generator().manual_seed(2)
    )
    torch.testing.assert_close(adversarial, start, rtol=0, atol=1e-15)


def test_start_from_prediction_ignores_the_label() -> None:
    images, labels = as_images(IMAGES), LABEL_TENSOR
    predicted = network(images).argmax(dim=1)
    assert not torch.equal(predicted, labels)
    for attack in (FGSM, PGD):
        extra = {} if attack is FGSM else {"random_start": False}
        own = attack(eps=0.05, start_from_prediction=True, **extra)(network, images, labels)
        assert torch.equal(own, attack(eps=0.05, **extra)(network, images, predicted))


def test_more_restarts_break_whatever_fewer_do(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    broken, losses = [], []
    for restarts in (1, 2, 5):
        attack = PGD(eps=0.12, steps=3, restarts=restarts)
        adversarial = attack(trained, images, labels, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            logits = trained(adversarial)
        broken.append(logits.argmax(dim=1) != labels)
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
    assert (broken[0] <= broken[1]).all() and (broken[1] <= broken[2]).all()
    assert broken[2].sum() > broken[0].sum()
    never = ~broken[2]
    assert (losses[2][never] >= losses[0][never] - 1e-6).all()


def test_restarts_attack_only_what_still_stands(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    sizes: list[int] = []

    def counting(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return trained(images)

    images, labels = (tensor[:40] for tensor in held_out)
    PGD(eps=0.2, steps=2, restarts=3)(
        counting, images, labels, generator=torch.Generator().manual_seed(0)
    )
    assert sizes[:3] == [40, 40, 40]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 40


@pytest.mark.parametrize("steps", [1, 3])
def test_costs_one_model_call_a_step(steps: int) -> None:
    calls = []

    def counting(images: Tensor) -> Tensor:
        calls.append(len(images))
        return network(images)

    PGD(eps=0.1, steps=steps)(counting, as_images(IMAGES), LABEL_TENSOR)
    assert calls == [N] * steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 8.0}, r"eps in \[0, 1\], got 8.0; did you mean 8/255"),
        ({"eps": -0.1}, r"eps in \[0, 1\], got -0.1"),
        ({"eps": math.nan}, r"eps in \[0, 1\], got nan"),
        ({"eps": 0.1, "steps": 0}, "steps >= 1, got 0"),
        ({"eps": 0.1, "restarts": 0}, "restarts >= 1, got 0"),
        ({"eps": 0.1, "step_size": 0.0}, r"step_size in \(0, 1\], got 0.0"),
        ({"eps": 0.1, "reach": 0.0}, "reach > 0 and finite, got 0.0"),
        ({"eps": -0.1, "norm": "l2"}, "eps >= 0 and finite in L2, got -0.1"),
        ({"eps": math.inf, "norm": "l2"}, "eps >= 0 and finite in L2, got inf"),
        ({"eps": 2.0, "norm": "l2", "step_size": -1.0}, "step_size > 0 and finite in L2, got -1.0"),
        ({"eps": 0.1, "restarts": 2, "random_start": False}, "random_start=True with 2 restarts"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        PGD(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0.1, "steps": 0}, "steps >= 1, got 0"),
        ({"eps": 0.1, "step_size": 2.0}, r"step_size in \(0, 1\], got 2.0"),
        ({"eps": 8.0}, "did you mean 8/255"),
    ],
)
def test_settings_of_the_others_are_refused_too(settings: dict[str, float], message: str) -> None:
    for attack in (IterativeFGSM, MomentumIterative):
        with pytest.raises(HyperparameterError, match=message):
            attack(**settings)


def test_a_decay_below_0_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="decay >= 0 and finite, got -1"):
        MomentumIterative(eps=0.1, decay=-1)


@pytest.mark.parametrize("attack", [FGSM, PGD, MomentumIterative])
def test_unknown_norms_are_refused_by_name(attack: type[FGSM]) -> None:
    with pytest.raises(UnknownNameError, match="norm one of linf, l2, got 'l1'"):
        attack(eps=0.1, norm="l1")


@pytest.mark.parametrize("attack", [FGSM, PGD, MomentumIterative])
def test_an_l2_radius_may_exceed_1(attack: type[FGSM]) -> None:
    adversarial = attack(eps=2.0, norm="l2")(network, as_images(IMAGES), LABEL_TENSOR)
    assert (adversarial - as_images(IMAGES)).flatten(1).norm(dim=1).max() > 1

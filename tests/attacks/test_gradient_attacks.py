"""FGSM and PGD are themselves: closed forms, and a slow version written as loops over pixels."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from steadygrad.attacks import FGSM, PGD, PerturbationBall
from steadygrad.errors import HyperparameterError

Array = NDArray[np.float64]
N, PIXELS, HIDDEN, CLASSES = 6, 9, 5, 4
RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(size=(HIDDEN, PIXELS))
SECOND = RANDOM.normal(size=(CLASSES, HIDDEN))
IMAGES = RANDOM.uniform(size=(N, PIXELS))
LABELS = RANDOM.integers(CLASSES, size=N)


def network(images: Tensor) -> Tensor:
    """Logits ``W2 tanh(W1 x)``."""
    return (images.flatten(1) @ torch.from_numpy(FIRST).T).tanh() @ torch.from_numpy(SECOND).T


def as_images(rows: Array) -> Tensor:
    return torch.from_numpy(rows).reshape(len(rows), 1, 3, 3)


def slow_gradient(image: Array, label: int) -> Array:
    """``W1' diag(1 - h^2) W2' (softmax - onehot)``, entry by entry."""
    hidden = [math.tanh(float(FIRST[j] @ image)) for j in range(HIDDEN)]
    logits = [sum(SECOND[k, j] * hidden[j] for j in range(HIDDEN)) for k in range(CLASSES)]
    total = sum(math.exp(z) for z in logits)
    error = [math.exp(logits[k]) / total - (k == label) for k in range(CLASSES)]
    gradient = np.zeros(PIXELS)
    for i in range(PIXELS):
        for j in range(HIDDEN):
            back = sum(SECOND[k, j] * error[k] for k in range(CLASSES))
            gradient[i] += FIRST[j, i] * (1 - hidden[j] ** 2) * back
    return gradient


def slow_pgd(
    image: Array, start: Array, label: int, eps: float, steps: int, step_size: float
) -> Array:
    """Raise the loss pixel by pixel; a negative ``step_size`` lowers it."""
    x = start.copy()
    for _ in range(steps):
        gradient = slow_gradient(x, label)
        for i in range(PIXELS):
            moved = x[i] + step_size * (int(gradient[i] > 0) - int(gradient[i] < 0))
            moved = min(max(moved, image[i] - eps), image[i] + eps)
            x[i] = min(max(moved, 0.0), 1.0)
    return x


@pytest.mark.parametrize("eps", [0.01, 0.1, 0.6])
def test_fgsm_is_its_equation(eps: float) -> None:
    expected = [slow_pgd(x, x, y, eps, 1, eps) for x, y in zip(IMAGES, LABELS, strict=True)]
    adversarial = FGSM(eps=eps)(network, as_images(IMAGES), torch.from_numpy(LABELS))
    torch.testing.assert_close(adversarial, as_images(np.array(expected)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("eps", "steps", "step_size"), [(0.1, 8, None), (0.3, 5, 0.2)])
@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_is_its_equation(
    eps: float, steps: int, step_size: float | None, targeted: bool
) -> None:
    step = 1.85 * eps / steps if step_size is None else step_size
    attack = PGD(eps=eps, steps=steps, step_size=step_size, target="given" if targeted else None)
    images, labels = as_images(IMAGES), torch.from_numpy(LABELS)
    starts = PerturbationBall(images, eps).draw_uniform(torch.Generator().manual_seed(5))
    targets = (labels + 1) % CLASSES
    signed_step, aims = (-step, targets) if targeted else (step, labels)
    expected = [
        slow_pgd(x, start, int(aim), eps, steps, signed_step)
        for x, start, aim in zip(IMAGES, starts.flatten(1).numpy(), aims, strict=True)
    ]
    adversarial = attack(
        network,
        images,
        labels,
        generator=torch.Generator().manual_seed(5),
        targets=targets if targeted else None,
    )
    torch.testing.assert_close(adversarial, as_images(np.array(expected)), rtol=0, atol=1e-12)


def linear(images: Tensor) -> Tensor:
    """Two classes, ``w'x`` and 0: the loss at class 0 falls along w, everywhere."""
    logit = images.flatten(1) @ torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
    return torch.stack((logit, torch.zeros_like(logit)), dim=1)


# From the far corner it is two eps: the default steps, 1.85 eps together, need not arrive.
@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.2),
        PGD(eps=0.2, random_start=False),
        PGD(eps=0.2, step_size=0.05, steps=8),
        PGD(eps=0.2, step_size=0.05, steps=8, restarts=2),
    ],
    ids=repr,
)
def test_reaches_the_corner_of_a_linear_model(attack: FGSM | PGD) -> None:
    image = torch.tensor([0.5, 0.5, 0.1, 0.9], dtype=torch.float64).reshape(1, 1, 2, 2)
    adversarial = attack(
        linear, image, torch.tensor([0]), generator=torch.Generator().manual_seed(0)
    )
    expected = torch.tensor([0.3, 0.7, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(adversarial.flatten(), expected)


def test_fgsm_is_one_full_step_of_pgd_without_start() -> None:
    images, labels = as_images(IMAGES), torch.from_numpy(LABELS)
    one = PGD(eps=0.1, steps=1, step_size=0.1, random_start=False)(network, images, labels)
    assert torch.equal(one, FGSM(eps=0.1)(network, images, labels))


def test_pgd_returns_its_random_start_where_there_is_no_gradient() -> None:
    images, labels = as_images(IMAGES), torch.from_numpy(LABELS)
    start = PerturbationBall(images, 0.1).draw_uniform(torch.Generator().manual_seed(2))
    adversarial = PGD(eps=0.1)(
        lambda x: 0 * network(x), images, labels, generator=torch.Generator().manual_seed(2)
    )
    assert torch.equal(adversarial, start)


def test_start_from_prediction_ignores_the_label() -> None:
    images, labels = as_images(IMAGES), torch.from_numpy(LABELS)
    predicted = network(images).argmax(dim=1)
    assert not torch.equal(predicted, labels)
    for attack in (FGSM, PGD):
        extra = {} if attack is FGSM else {"random_start": False}
        own = attack(eps=0.05, start_from_prediction=True, **extra)(network, images, labels)
        assert torch.equal(own, attack(eps=0.05, **extra)(network, images, predicted))


def test_targets_are_drawn_from_the_other_classes_evenly() -> None:
    seen = torch.zeros(3, dtype=torch.int64)

    def model(images: Tensor) -> Tensor:
        """Pixel k is the logit of class k: a targeted step raises the target's pixel alone."""
        return images.flatten(1)

    images = torch.full((3000, 3, 1, 1), 0.5, dtype=torch.float64)
    labels = torch.ones(3000, dtype=torch.int64)
    attack = PGD(eps=0.1, steps=1, step_size=0.1, random_start=False, target="random")
    adversarial = attack(model, images, labels, generator=torch.Generator().manual_seed(0))
    seen = (adversarial > 0.5).flatten(1).sum(dim=0)
    assert seen[1] == 0 and seen.sum() == 3000
    assert abs(seen[0].item() - 1500) < 5 * math.sqrt(750)


def test_targeted_success_reaches_the_target(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = (tensor[:50] for tensor in held_out)
    targets = (labels + 1) % 10
    adversarial = PGD(eps=0.6, steps=30, target="given")(
        trained, images, labels, targets=targets, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        assert (trained(adversarial).argmax(dim=1) == targets).double().mean() > 0.9


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

    PGD(eps=0.1, steps=steps)(counting, as_images(IMAGES), torch.from_numpy(LABELS))
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
        ({"eps": 0.1, "restarts": 2, "random_start": False}, "random_start=True with 2 restarts"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        PGD(**settings)


def test_targets_and_their_setting_come_together() -> None:
    images, labels = as_images(IMAGES), torch.from_numpy(LABELS)
    with pytest.raises(HyperparameterError, match="only then, got targets along with 'random'"):
        PGD(eps=0.1, target="random")(network, images, labels, targets=labels)
    with pytest.raises(HyperparameterError, match="target='given', and only then, got none"):
        PGD(eps=0.1, target="given")(network, images, labels)

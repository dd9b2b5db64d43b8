"""Every attack refuses what would give a wrong number, in one sentence."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadygrad.attacks import (
    FGSM,
    PGD,
    Attack,
    IterativeFGSM,
    LongRangeCorrelated,
    MomentumIterative,
    RandomNoise,
    WhiteNoise,
)
from steadygrad.errors import ImageError, LabelError, ModelError, SteadygradError

ATTACKS = [
    FGSM(eps=0.1),
    PGD(eps=0.1, steps=2),
    PGD(eps=0.1, steps=2, restarts=2),
    PGD(eps=0.1, steps=2, target="random"),
    PGD(eps=0.1, steps=2, target="all", loss="margin"),
    PGD(eps=0.1, steps=2, loss="dlr"),
    FGSM(eps=0.1, norm="l2"),
    IterativeFGSM(eps=0.1, steps=2),
    MomentumIterative(eps=0.1, steps=2, norm="l2"),
    RandomNoise(eps=0.1, samples=2),
    LongRangeCorrelated(eps=0.1, samples=2),
    WhiteNoise(eps=0.1, samples=2),
]
GOOD = torch.full((3, 1, 4, 4), 0.5)
LABELS = torch.tensor([0, 1, 2])
each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=repr)


def model(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :3] * 2


def with_nan() -> Tensor:
    images = GOOD.clone()
    images[1, 0, 2, 2] = torch.nan
    return images


@each_attack
@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        ((GOOD * 255).byte(), LABELS, ImageError, "got torch.uint8; did you mean"),
        (GOOD * 255, LABELS, ImageError, "got values from 127.5 to 127.5; divide by 255"),
        (GOOD - 1, LABELS, ImageError, "put the normalisation inside the model"),
        (with_nan(), LABELS, ImageError, "finite pixels in .*, got NaN"),
        (GOOD[0], LABELS, ImageError, r"got shape \(1, 4, 4\)"),
        (GOOD[:0], LABELS[:0], ImageError, r"got shape \(0, 1, 4, 4\)"),
        (GOOD.tolist(), LABELS, ImageError, "torch.Tensor, got list"),
        (GOOD, LABELS.float(), LabelError, "int64 class indices as labels, got torch.float32"),
        (GOOD, LABELS[:2], LabelError, r"labels of shape \(3,\), got \(2,\)"),
        (GOOD, LABELS - 1, LabelError, "got -1"),
        (GOOD, LABELS + 1, LabelError, "labels from 0 to 2, got 3"),
    ],
)
def test_images_and_labels(
    attack: Attack, images: Tensor, labels: Tensor, error: type[SteadygradError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        attack(model, images, labels)
    assert "\n" not in str(caught.value)


@each_attack
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x, r"logits of shape \(., classes\) from the model, got \(., 1, 4, 4\)"),
        (lambda x: x.sum((1, 2, 3)), r"got \(.,\)"),
        (lambda x: x.flatten(1).repeat(2, 1), r"got \(., 16\)"),
        (lambda x: x.flatten(1).argmax(1), "floating point logits from the model, got torch.int64"),
        (lambda x: (x.flatten(1), x), "logits from the model, got tuple"),
        (lambda x: x.flatten(1) * torch.nan, "NaN or infinity for 3 of 3 images"),
    ],
)
def test_models(attack: Attack, wrong: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        attack(wrong, GOOD, LABELS)


@pytest.mark.parametrize("attack", ATTACKS[:9], ids=repr)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: torch.zeros(len(x), 3),
        lambda x: model(x.detach()),
        lambda x: torch.zeros(len(x), 3, requires_grad=True) + 1,
    ],
    ids=["constant", "detached", "parameters alone"],
)
def test_models_that_cannot_be_differentiated(
    attack: Attack, wrong: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(ModelError, match=r"expected logits .* the images, got constants"):
        attack(wrong, GOOD, LABELS)


@pytest.mark.parametrize(
    "attack", [PGD(eps=0.1, steps=5), MomentumIterative(eps=0.1, steps=5)], ids=repr
)
def test_nan_after_the_first_step_does_not_pass_for_a_weak_attack(attack: Attack) -> None:
    calls = 0

    def sometimes(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return model(images) * (torch.nan if calls == 3 else 1.0)

    with pytest.raises(ModelError, match="NaN or infinity for 3 of 3 images"):
        attack(sometimes, GOOD, LABELS)

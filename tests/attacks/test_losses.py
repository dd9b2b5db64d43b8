"""Laws of steadygrad.attacks.losses and of the goals made of them."""

import pytest
import torch
from torch import Tensor

from attacks.references import IMAGES, LABELS, as_images, network, slow_gradient, slow_loss
from steadygrad.attacks import PGD, Goal
from steadygrad.attacks.losses import LOSSES, Loss
from steadygrad.errors import ModelError, UnknownNameError

TARGETS = (LABELS + 1) % 6
LABEL_TENSOR, TARGET_TENSOR = torch.from_numpy(LABELS), torch.from_numpy(TARGETS)
each_loss = pytest.mark.parametrize("loss", list(LOSSES))
towards_or_away = pytest.mark.parametrize("is_targeted", [False, True], ids=["away", "towards"])


def goal(loss: Loss, is_targeted: bool) -> Goal:
    return Goal(LABEL_TENSOR, targets=TARGET_TENSOR if is_targeted else None, loss=loss)


@each_loss
@towards_or_away
def test_value_and_gradient_are_those_of_the_equation(loss: Loss, is_targeted: bool) -> None:
    values, gradient = goal(loss, is_targeted).ascent(network, as_images(IMAGES))
    for row, (image, label, target) in enumerate(zip(IMAGES, LABELS, TARGETS, strict=True)):
        aim = int(target) if is_targeted else None
        logits = network(as_images([image]))[0].tolist()
        assert values[row].item() == pytest.approx(slow_loss(logits, loss, label, aim), abs=1e-12)
        expected = as_images([slow_gradient(image, loss, label, aim)])
        # The reference differentiates by a central difference of 1e-5.
        torch.testing.assert_close(gradient[row : row + 1], expected, rtol=1e-6, atol=1e-7)


@towards_or_away
def test_the_margins_gradient_on_a_linear_model_is_a_difference_of_weights(
    is_targeted: bool,
) -> None:
    weight = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images, labels = as_images(IMAGES), LABEL_TENSOR % 5
    targets = (labels + 2) % 5
    towards = targets if is_targeted else None
    _, gradient = Goal(labels, targets=towards, loss="margin").ascent(
        lambda x: x.flatten(1) @ weight.T, images
    )
    logits = images.flatten(1) @ weight.T
    aims = targets if is_targeted else labels
    rival = logits.scatter(1, aims.unsqueeze(1), -torch.inf).argmax(dim=1)
    expected = weight[aims] - weight[rival] if is_targeted else weight[rival] - weight[aims]
    torch.testing.assert_close(gradient.flatten(1), expected)


@each_loss
def test_the_margin_of_the_goal_decides_its_success(loss: Loss) -> None:
    logits = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(200) % 5
    images = logits.view(200, 5, 1, 1)
    values, is_wrong = Goal(labels, loss=loss).judge(lambda x: x.flatten(1), images)
    assert torch.equal(is_wrong, logits.argmax(dim=1) != labels)
    if loss != "cross-entropy":
        assert torch.equal(values > 0, is_wrong)
    targets = (labels + 1) % 5
    _, is_reached = Goal(labels, targets=targets, loss=loss).judge(lambda x: x.flatten(1), images)
    assert torch.equal(is_reached, logits.argmax(dim=1) == targets)


def saturated(images: Tensor) -> Tensor:
    return 1e4 * network(images)


def test_dlr_and_margin_see_through_a_saturated_softmax() -> None:
    images = as_images(IMAGES)
    labels = network(images).argmax(dim=1)
    _, vanished = Goal(labels).ascent(saturated, images)
    assert (vanished.flatten(1).abs().amax(dim=1) < 1e-30).all()
    for loss in ("margin", "dlr"):
        _, plain = Goal(labels, loss=loss).ascent(network, images)
        _, scaled = Goal(labels, loss=loss).ascent(saturated, images)
        torch.testing.assert_close(scaled, plain * (1e4 if loss == "margin" else 1.0))
    attack = PGD(eps=0.5, steps=20, loss="dlr", random_start=False)
    with torch.no_grad():
        assert (saturated(attack(saturated, images, labels)).argmax(dim=1) != labels).any()


@towards_or_away
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equal_logits_give_a_finite_dlr(is_targeted: bool, dtype: torch.dtype) -> None:
    labels = torch.tensor([0, 3])
    targets = labels + 1 if is_targeted else None
    weight = torch.ones(6, 9, dtype=dtype)
    values, gradient = Goal(labels, targets=targets, loss="dlr").ascent(
        lambda x: x.flatten(1) @ weight.T, as_images(IMAGES[:2]).to(dtype)
    )
    assert values.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "is_targeted", "classes", "message"),
    [
        ("dlr", False, 2, "at least 3 classes for the dlr loss, got 2"),
        ("dlr", True, 3, "at least 4 classes for the targeted dlr loss, got 3"),
        ("margin", False, 1, "at least 2 classes for the margin loss, got 1"),
    ],
)
def test_too_few_classes_are_said(
    loss: Loss, is_targeted: bool, classes: int, message: str
) -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    attack = PGD(eps=0.1, loss=loss, target="given" if is_targeted else None)
    with pytest.raises(ModelError, match=message):
        attack(
            lambda x: x.flatten(1)[:, :classes],
            as_images(IMAGES[:2]),
            labels,
            targets=labels + 1 if is_targeted else None,
        )


def test_the_fewest_classes_will_do() -> None:
    images, labels = as_images(IMAGES[:2]), torch.tensor([0, 1])
    for loss, classes, targets in (("dlr", 3, None), ("dlr", 4, labels + 1), ("margin", 2, None)):
        values, _ = Goal(labels, targets=targets, loss=loss).ascent(
            lambda x, classes=classes: x.flatten(1)[:, :classes], images
        )
        assert values.isfinite().all()


def test_unknown_losses_are_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="cross-entropy, margin, dlr, got 'hinge'"):
        PGD(eps=0.1, loss="hinge")

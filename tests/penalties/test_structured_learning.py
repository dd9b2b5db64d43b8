"""How the structured penalty learns Sigma while it trains: from which perturbations, and when."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.attacks.deepfool import DeepFool
from steadygrad.covariance import RunningCovariance, estimate_covariance
from steadygrad.errors import CheckpointError, CovarianceError
from steadygrad.penalties import BinaryCrossEntropy
from steadygrad.penalties.structured import StructuredPenalty
from structured_setting import (
    COVARIANCES,
    IMAGES,
    LABELS,
    parameter_gradient,
    perturbations,
    smooth,
    training_network,
)

SOURCES = ["gradient", "fgsm", "pgd", "deepfool"]
each_source = pytest.mark.parametrize("source", SOURCES)


def own_perturbations(source: str, model: nn.Module) -> Tensor:
    """What each source should show the covariance, computed by hand."""
    if source == "pgd":
        attack = PGD(
            eps=8 / 255,
            steps=10,
            step_size=8 / 255 / 5,
            random_start=False,
            start_from_prediction=True,
        )
        return attack(model, IMAGES, LABELS) - IMAGES
    if source == "deepfool":
        return DeepFool()(model, IMAGES, LABELS) - IMAGES
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(model(images), LABELS, reduction="sum"), images)
    return gradient if source == "gradient" else gradient.sign()


@each_source
@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_a_running_covariance_learns_before_the_penalty_is_taken(source: Any, backend: Any) -> None:
    model, running = smooth(), RunningCovariance("dense")
    result = StructuredPenalty(strength=1.0, covariance=running, source=source, backend=backend)(
        model, IMAGES, LABELS
    )
    expected = estimate_covariance(own_perturbations(source, model), "dense")
    torch.testing.assert_close(running.dense(), expected.dense())
    fixed = StructuredPenalty(strength=1.0, covariance=expected, backend=backend)
    torch.testing.assert_close(result.penalty, fixed(model, IMAGES, LABELS).penalty)
    torch.testing.assert_close(
        parameter_gradient(model, result.loss),
        parameter_gradient(model, fixed(model, IMAGES, LABELS).loss),
    )


@each_source
def test_a_source_leaves_no_gradient_and_no_mode_behind(source: Any) -> None:
    plain, learning = training_network(), training_network()
    for model in (plain, learning):
        model[3].eval()  # frozen by the user
    fixed = StructuredPenalty(strength=1.0, covariance=COVARIANCES["stationary"])
    fixed(plain, IMAGES, LABELS)
    modes = [module.training for module in learning.modules()]
    state = torch.get_rng_state()
    penalty = StructuredPenalty(
        strength=1.0, covariance=RunningCovariance("stationary"), source=source
    )
    penalty(learning, IMAGES, LABELS)
    assert [module.training for module in learning.modules()] == modes
    assert all(parameter.grad is None for parameter in learning.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    # Batch norm saw the batch once, as in a step without a source.
    for ours, theirs in zip(learning.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@each_source
@pytest.mark.parametrize("backend", ["double_backprop", "finite_difference"])
def test_gradients_and_flags_that_were_there_stay(source: Any, backend: Any) -> None:
    model, images = training_network(), IMAGES.clone()
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(index))
    model[0].bias.requires_grad_(False)  # frozen by the user
    flags = [parameter.requires_grad for parameter in model.parameters()]
    penalty = StructuredPenalty(
        strength=1.0, covariance=RunningCovariance(), source=source, backend=backend
    )
    penalty(model, images, LABELS)
    for index, parameter in enumerate(model.parameters()):
        assert parameter.grad is not None and (parameter.grad == index).all()
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert torch.equal(images, IMAGES) and not images.requires_grad and images.grad is None


def test_modes_come_back_after_an_error_in_the_source() -> None:
    def broken(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("no attack today")

    model = training_network()
    penalty = StructuredPenalty(strength=1.0, covariance=RunningCovariance(), source=broken)
    with pytest.raises(RuntimeError, match="no attack today"):
        penalty(model, IMAGES, LABELS)
    assert all(module.training for module in model.modules())


def test_an_attack_of_ones_own_is_a_source() -> None:
    running, attack = RunningCovariance("dense"), PGD(eps=0.05, random_start=False)
    model = smooth()
    StructuredPenalty(strength=1.0, covariance=running, source=attack)(model, IMAGES, LABELS)
    expected = estimate_covariance(attack(model, IMAGES, LABELS) - IMAGES, "dense")
    torch.testing.assert_close(running.dense(), expected.dense())


@each_source
@pytest.mark.parametrize(
    "labels", [LABELS % 2, (LABELS % 2).double()[:, None], 0.1 + 0.8 * (LABELS % 2)]
)
def test_a_network_of_one_logit_is_learned_from_as_one_of_two_classes(
    source: Any, labels: Tensor
) -> None:
    one, two = (RunningCovariance("dense") for _ in range(2))
    model = nn.Sequential(smooth(), nn.Linear(4, 1)).double()
    weight = torch.linspace(-1, 1, 4, dtype=torch.float64)
    model[1].weight.data, model[1].bias.data = weight[None], torch.zeros(1, dtype=torch.float64)

    def of_two_classes(images: Tensor) -> Tensor:
        logits: Tensor = model(images)
        return torch.cat((torch.zeros_like(logits), logits), dim=1)

    binary = BinaryCrossEntropy()
    StructuredPenalty(strength=1.0, covariance=one, source=source)(
        model, IMAGES, labels, loss=binary
    )
    soft = torch.stack((1 - labels.reshape(-1), labels.reshape(-1)), dim=1).double()
    StructuredPenalty(strength=1.0, covariance=two, source=source)(of_two_classes, IMAGES, soft)
    assert one.updates == two.updates == 1
    torch.testing.assert_close(one.dense(), two.dense())


@each_source
def test_every_third_batch_is_learned_from(source: Any) -> None:
    running = RunningCovariance()
    penalty = StructuredPenalty(strength=1.0, covariance=running, source=source, every=3)
    updates = []
    for _ in range(7):
        penalty(smooth(), IMAGES, LABELS)
        updates.append(running.updates)
    assert updates == [1, 1, 1, 2, 2, 2, 3]


def test_a_running_covariance_without_source_is_left_to_the_user() -> None:
    running = RunningCovariance()
    penalty = StructuredPenalty(strength=1.0, covariance=running)
    with pytest.raises(CovarianceError, match="before its first update"):
        penalty(smooth(), IMAGES, LABELS)
    running.update(perturbations())
    penalty(smooth(), IMAGES, LABELS)
    assert running.updates == 1


def test_useless_perturbations_are_passed_over() -> None:
    running, model = RunningCovariance(), smooth()
    penalty = StructuredPenalty(strength=1.0, covariance=running, source="gradient")
    nn.init.zeros_(model[1].weight)
    assert penalty(model, IMAGES, LABELS).penalty == 0
    assert running.updates == 0
    nn.init.constant_(model[1].weight, math.nan)
    assert penalty(model, IMAGES, LABELS).loss.isnan()
    assert running.updates == 0


def test_a_restored_state_continues_to_the_bit() -> None:
    def fresh() -> StructuredPenalty:
        running = RunningCovariance("stationary", decay=0.3)
        return StructuredPenalty(strength=1.0, covariance=running, source="fgsm", every=2)

    model, penalty, resumed = smooth(), fresh(), fresh()
    for _ in range(3):
        penalty(model, IMAGES, LABELS)
    state = penalty.state_dict()
    resumed.load_state_dict(state)
    for images in (IMAGES, IMAGES.flip(0), IMAGES.flip(3)):
        first, second = (each(model, images, LABELS) for each in (penalty, resumed))
        assert torch.equal(first.loss, second.loss)
    assert resumed.state_dict()["calls"] == 6
    fixed = StructuredPenalty(strength=1.0, covariance=COVARIANCES["identity"])
    fixed.load_state_dict(fixed.state_dict())
    with pytest.raises(CheckpointError, match="IdentityCovariance"):
        fixed.load_state_dict(state)

"""The two backends beside each other, and what the finite difference must not disturb."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError
from steadygrad.layers import ComplexLinear
from steadygrad.models import build_model
from steadygrad.penalties import (
    L1,
    L2,
    NORMS,
    DoubleBackprop,
    FiniteDifference,
    GradientNorm,
    Linf,
    SquaredNormPenalty,
    compare_backends,
)
from steadygrad.penalties.part import Backend

GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.rand(5, 1, 8, 8, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.tensor([0, 3, 9, 3, 5])


def penalty_gradient(backend: Backend, model: nn.Module, norm: GradientNorm) -> Tensor:
    terms = backend(model, IMAGES, LABELS, norm)
    gradients = torch.autograd.grad(
        terms.norms.mean(), list(model.parameters()), materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("digits-gelu").double()


@pytest.mark.parametrize("norm", [L1(), L2(), Linf()], ids=["l1", "l2", "linf"])
@pytest.mark.parametrize("order", [1, 2])
def test_the_error_falls_with_the_step_at_the_orders_rate(
    model: nn.Module, norm: GradientNorm, order: int
) -> None:
    exact = penalty_gradient(DoubleBackprop(), model, norm)
    errors = [
        (
            penalty_gradient(FiniteDifference(step_size=step, order=order), model, norm) - exact
        ).norm()
        for step in (4e-3, 2e-3)
    ]
    rate = math.log2(errors[0] / errors[1])
    assert rate == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("name", ["digits-complex", "digits-gelu"])
def test_the_default_step_agrees_with_the_exact_gradient_in_float32(name: str, norm: str) -> None:
    torch.manual_seed(0)
    model = build_model(name)
    agreement = compare_backends(
        FiniteDifference(),
        model,
        IMAGES.float(),
        LABELS,
        norm=norm,
    )
    assert agreement.cosine > 0.98
    assert agreement.length_ratio == pytest.approx(1, abs=0.1)
    agreement.require(0.98)


def test_a_step_too_large_is_found_by_the_self_check(model: nn.Module) -> None:
    agreement = compare_backends(FiniteDifference(step_size=5.0), model, IMAGES, LABELS)
    with pytest.raises(HyperparameterError, match=r"within cosine 0.9 of the exact one, got 0?-?"):
        agreement.require(0.9)


def test_dropout_keeps_its_mask_between_the_passes() -> None:
    torch.manual_seed(0)
    # Linear up to the softmax: with one mask the difference is exact at any step, and with two
    # masks the difference of the losses divided by a tiny step would be enormous.
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).double()
    before = torch.get_rng_state()
    exact = penalty_gradient(DoubleBackprop(), model, L2())
    torch.set_rng_state(before)
    difference = penalty_gradient(FiniteDifference(step_size=1e-5, order=2), model, L2())
    after_difference = torch.get_rng_state()
    torch.testing.assert_close(difference, exact, rtol=1e-4, atol=1e-8)
    torch.set_rng_state(before)
    model(IMAGES)
    assert torch.equal(after_difference, torch.get_rng_state())


def test_batch_norm_counts_the_batch_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10)).double()
    norm = model[0]
    for order in (1, 2):
        model[0].reset_running_stats()
        FiniteDifference(order=order)(model, IMAGES, LABELS, L1())
        assert norm.num_batches_tracked == 1
        torch.testing.assert_close(norm.running_mean, 0.1 * IMAGES.mean().reshape(1))
        assert norm.track_running_stats


def test_comparing_backends_leaves_no_trace() -> None:
    torch.manual_seed(0)
    model = build_model("ross2018-real", input_shape=(1, 8, 8)).double().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    agreement = compare_backends(FiniteDifference(), model, IMAGES, LABELS)
    assert -1 <= agreement.cosine <= 1
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_the_steepest_direction_attains_the_norm(norm: str) -> None:
    gradient = torch.randn(4, 3, 5, 5, dtype=torch.float64, generator=GENERATOR)
    gradient[1] = 0
    length, direction = NORMS.parse(norm).steepest(gradient)
    torch.testing.assert_close((gradient * direction).sum(dim=(1, 2, 3)), length)
    torch.testing.assert_close(length.square(), NORMS.parse(norm).squared(gradient))
    assert direction.isfinite().all()
    assert direction[1].abs().max() == 0


def test_squared_norms_are_finite_with_their_derivatives_at_zero() -> None:
    for norm in (L1(), L2(), Linf()):
        gradient = torch.zeros(2, 1, 3, 3, requires_grad=True)
        (derivative,) = torch.autograd.grad(norm.squared(gradient).sum(), gradient)
        assert derivative.abs().max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step_size": 0.0}, "step_size > 0, got 0.0"),
        ({"step_size": float("inf")}, "step_size > 0, got inf"),
        ({"order": 3}, "order 1 or 2, got 3"),
    ],
)
def test_steps_and_orders_that_mean_nothing_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(HyperparameterError, match=message):
        FiniteDifference(**arguments)


def test_within_autocast_complex_layers_give_the_penalty_of_float32() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), ComplexLinear(64, 8), ComplexLinear(8, 10))
    found = []
    for is_half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            penalized = SquaredNormPenalty(strength=1.0)(model, IMAGES.float(), LABELS)
        found.append(penalized.penalty)
    torch.testing.assert_close(*found)

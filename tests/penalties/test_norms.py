"""Norms of input gradients: values, derivatives, directions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.penalties import L1, L2, NORMS, CovarianceNorm, GradientNorm, Linf
from structured_setting import COVARIANCES, SHAPE, seeded

REGISTERED = [cls() for cls in NORMS]
EVERY: list[GradientNorm] = [*REGISTERED, CovarianceNorm(COVARIANCES["exponential"])]
each_norm = pytest.mark.parametrize("norm", EVERY, ids=lambda norm: type(norm).__name__)


def gradients() -> torch.Tensor:
    return torch.randn(3, *SHAPE, dtype=torch.float64, generator=seeded(4)).requires_grad_()


@each_norm
def test_first_derivatives(norm: GradientNorm) -> None:
    assert gradcheck(norm.value, (gradients(),))
    assert gradcheck(norm.squared, (gradients(),))


@each_norm
def test_second_derivatives(norm: GradientNorm) -> None:
    assert gradgradcheck(norm.value, (gradients(),))
    assert gradgradcheck(norm.squared, (gradients(),))


@each_norm
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-6, 1e6))
def test_norms_are_homogeneous_and_attained(norm: GradientNorm, seed: int, scale: float) -> None:
    gradient = torch.randn(3, *SHAPE, dtype=torch.float64, generator=seeded(seed))
    torch.testing.assert_close(norm.value(scale * gradient), scale * norm.value(gradient))
    torch.testing.assert_close(norm.value(gradient).square(), norm.squared(gradient))
    length, direction = norm.steepest(gradient)
    torch.testing.assert_close(length, norm.value(gradient))
    torch.testing.assert_close((gradient * direction).sum(dim=(1, 2, 3)), length)


@each_norm
def test_values_are_finite_with_their_derivatives_at_zero(norm: GradientNorm) -> None:
    gradient = torch.zeros(2, *SHAPE, dtype=torch.float64, requires_grad=True)
    value = norm.value(gradient)
    (derivative,) = torch.autograd.grad(value.sum(), gradient)
    assert value.abs().max() == 0
    assert derivative.abs().max() == 0


def test_norms_know_their_ball_and_compare() -> None:
    assert (L1().ball, L2().ball, Linf().ball) == ("linf", "l2", "l1")
    assert L1() == L1() and hash(L1()) == hash(L1()) and L1() != L2()

"""The modulus, around and away from z = 0."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.layers import modulus
from steadygrad.layers.complex_numbers import DEFAULT_SMOOTHING


@given(real=st.floats(-1e3, 1e3), imag=st.floats(-1e3, 1e3), smoothing=st.floats(1e-9, 1.0))
def test_no_value_moves_by_more_than_the_smoothing(
    real: float, imag: float, smoothing: float
) -> None:
    z = torch.tensor([real, imag], dtype=torch.float64)
    moved = modulus(z[0], z[1], smoothing).item() - math.hypot(real, imag)
    assert -1e-12 <= moved <= smoothing * (1 + 1e-12)


def test_both_derivatives_at_zero_and_elsewhere() -> None:
    z = torch.tensor([[0.0, 3e-1, -2.0], [0.0, 4e-1, 1e-3]], dtype=torch.float64)
    real, imag = (part.clone().requires_grad_() for part in z)
    assert gradcheck(lambda *z: modulus(*z, 0.1), (real, imag))
    assert gradgradcheck(lambda *z: modulus(*z, 0.1), (real, imag))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_value_at_zero_is_positive_in_every_dtype(dtype: torch.dtype) -> None:
    zero = torch.zeros(1, dtype=dtype, requires_grad=True)
    y = modulus(zero, zero)
    (gradient,) = torch.autograd.grad(y, zero, create_graph=True)
    gradient.backward()
    assert y > 0 and zero.grad.isfinite()


def test_the_default_smoothing_leaves_ordinary_magnitudes_alone() -> None:
    z = torch.tensor([3.0]), torch.tensor([4.0])
    assert modulus(*z).item() == 5.0 and DEFAULT_SMOOTHING == 1e-6

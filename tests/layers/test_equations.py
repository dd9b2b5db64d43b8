"""Equations 6 to 10 of Yeats, Chen & Li (ICML 2021), per weight entry and output position."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from steadygrad.layers import ComplexConv2d, ComplexLinear, complex_convolution

Entry = tuple[int, ...]


@pytest.fixture(params=["by hand", "composed"])
def convolution(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ComplexConv2d:
    if request.param == "composed":
        monkeypatch.setattr(complex_convolution, "applies", lambda *_: False)
    torch.manual_seed(0)
    return ComplexConv2d(2, 2, (2, 3), padding=1, second_order="frozen_phase").double()


def derivatives(layer: nn.Module, x: Tensor, output: Entry, source: Entry, weight: Entry) -> Tensor:
    """Return d y / d W_R, d y / d W_I and the same of the Jacobian entry d y / d x."""
    value = layer(x)[output]
    parameters = (layer.weight_real, layer.weight_imag)
    first = torch.autograd.grad(value, parameters, retain_graph=True)
    (jacobian,) = torch.autograd.grad(value, x, create_graph=True)
    second = torch.autograd.grad(jacobian[source], parameters)
    return torch.stack([gradient[weight] for gradient in (*first, *second)])


def assert_equations_hold(values: Tensor) -> None:
    of_real, of_imag, jacobian_of_real, jacobian_of_imag = values
    torch.testing.assert_close(of_real**2 + of_imag**2, torch.ones_like(of_real))  # (6)
    torch.testing.assert_close(jacobian_of_real, of_imag)  # (7)
    torch.testing.assert_close(jacobian_of_imag, -of_real)  # (8)


def test_equations_6_to_8_of_the_linear_layer() -> None:
    torch.manual_seed(0)
    layer = ComplexLinear(3, 2, second_order="frozen_phase").double()
    x = torch.rand(2, 3, dtype=torch.float64).mul_(6).requires_grad_()
    for n, o, i in product(range(2), range(2), range(3)):
        assert_equations_hold(derivatives(layer, x, (n, o), (n, i), (o, i)))


def test_equations_6_to_8_of_the_convolution(convolution: ComplexConv2d) -> None:
    x = torch.rand(1, 2, 3, 3, dtype=torch.float64).mul_(6).requires_grad_()
    height, width = convolution(x).shape[2:]
    outputs = product(range(2), range(height), range(width))
    for (o, h, w), i, (kh, kw) in product(outputs, range(2), product(range(2), range(3))):
        row, column = h + kh - 1, w + kw - 1
        weight = (o, i, kh, kw)
        if 0 <= row < 3 and 0 <= column < 3:
            at = (0, i, row, column)
            assert_equations_hold(derivatives(convolution, x, (0, o, h, w), at, weight))
        else:  # padding is the number 0, whose weight moves nothing
            first = derivatives(convolution, x, (0, o, h, w), (0, 0, 0, 0), weight)[:2]
            assert first.tolist() == [0, 0]


def test_exact_mode_does_not_obey_equations_7_and_8() -> None:
    torch.manual_seed(0)
    layer = ComplexLinear(3, 2).double()
    x = torch.rand(1, 3, dtype=torch.float64).requires_grad_()
    of_real, of_imag, jacobian_of_real, _ = derivatives(layer, x, (0, 0), (0, 1), (0, 1))
    assert not torch.isclose(jacobian_of_real, of_imag)
    torch.testing.assert_close(of_real**2 + of_imag**2, torch.ones_like(of_real))


def test_frozen_phase_of_the_linear_layer_is_its_formula() -> None:
    """Sum over the batch of (9) and (10) for the penalty r = v . (J^T e), e and v given."""
    torch.manual_seed(0)
    layer = ComplexLinear(4, 3, second_order="frozen_phase").double()
    x = torch.rand(5, 4, dtype=torch.float64).mul_(6).requires_grad_()
    e = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    v = torch.randn(5, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(layer(x), x, e, create_graph=True)
    inputs = (layer.weight_real, layer.weight_imag, layer.bias_real, layer.bias_imag, x, e)
    found = torch.autograd.grad((gradient * v).sum(), inputs, allow_unused=True)

    with torch.no_grad():
        cos, sin = x.cos(), x.sin()
        z = torch.complex(cos, sin) @ torch.complex(layer.weight_real, layer.weight_imag).T
        z = z + torch.complex(layer.bias_real, layer.bias_imag)
        unit_real, unit_imag = z.real / z.abs(), z.imag / z.abs()
        of_real, of_imag = torch.zeros(3, 4).double(), torch.zeros(3, 4).double()
        of_e = torch.zeros(5, 3).double()
        for n, o, i in product(range(5), range(3), range(4)):
            # d g_o / d W_R and d g_o / d W_I at input i, as printed under Eq. 5
            g_real = unit_real[n, o] * cos[n, i] + unit_imag[n, o] * sin[n, i]
            g_imag = unit_imag[n, o] * cos[n, i] - unit_real[n, o] * sin[n, i]
            of_real[o, i] += e[n, o] * v[n, i] * g_imag
            of_imag[o, i] -= e[n, o] * v[n, i] * g_real
            jacobian = layer.weight_real[o, i] * g_imag - layer.weight_imag[o, i] * g_real
            of_e[n, o] += jacobian * v[n, i]
    torch.testing.assert_close(found[0], of_real)
    torch.testing.assert_close(found[1], of_imag)
    torch.testing.assert_close(found[5], of_e)
    assert all(gradient is None or not gradient.any() for gradient in found[2:5])


def test_frozen_phase_of_the_convolution_is_its_formula(convolution: ComplexConv2d) -> None:
    x = torch.rand(3, 2, 4, 4, dtype=torch.float64).mul_(6).requires_grad_()
    y = convolution(x)
    e = torch.randn(y.shape, dtype=torch.float64, requires_grad=True)
    v = torch.randn(x.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(y, x, e, create_graph=True)
    inputs = (*convolution.parameters(), x, e)
    found = torch.autograd.grad((gradient * v).sum(), inputs, allow_unused=True)

    weights = [convolution.weight_real, convolution.weight_imag]
    real, imag = (weight.detach().requires_grad_() for weight in weights)
    cos, sin = x.detach().cos(), x.detach().sin()
    with torch.no_grad():
        bias = torch.complex(convolution.bias_real, convolution.bias_imag)
        z = conv2d(torch.complex(cos, sin), torch.complex(real, imag), bias, padding=1)
        unit_real, unit_imag = z.real / z.abs(), z.imag / z.abs()
    first = e.detach().requires_grad_()
    g_real, g_imag = first * unit_real, first * unit_imag
    of_cos = conv_transpose2d(g_real, real, padding=1) + conv_transpose2d(g_imag, imag, padding=1)
    of_sin = conv_transpose2d(g_imag, real, padding=1) - conv_transpose2d(g_real, imag, padding=1)
    formula = ((cos * of_sin - sin * of_cos) * v).sum()
    expected = torch.autograd.grad(formula, (real, imag, first))
    torch.testing.assert_close((found[0], found[1], found[5]), expected)
    assert all(gradient is None or not gradient.any() for gradient in found[2:5])


def test_values_computed_by_hand() -> None:
    """W = 1 + 2i, b = 1: at x = 0 z = 2 + 2i; at pi / 2 z = i - 2 + 1; at pi z = -2i."""
    linear = ComplexLinear(1, 1)
    convolution = ComplexConv2d(1, 1, 1)
    for layer in (linear, convolution):
        for name, value in zip(("real", "imag"), (1.0, 2.0), strict=True):
            nn.init.constant_(getattr(layer, f"weight_{name}"), value)
        nn.init.constant_(layer.bias_real, 1.0)
        nn.init.constant_(layer.bias_imag, 0.0)
    x = torch.tensor([0.0, math.pi / 2, math.pi])
    expected = torch.tensor([math.sqrt(8), math.sqrt(2), 2.0])
    torch.testing.assert_close(linear(x[:, None])[:, 0], expected)
    torch.testing.assert_close(convolution(x.view(3, 1, 1, 1)).flatten(), expected)

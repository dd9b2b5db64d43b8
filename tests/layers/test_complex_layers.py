"""What both complex layers owe their users, whatever the settings."""

import copy
import io
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.layers import ChannelGroupSum, ComplexConv2d, ComplexLinear

CONVOLUTIONS = {
    "plain": {"in_channels": 1, "out_channels": 2, "kernel_size": 2},
    "padded": {"in_channels": 1, "out_channels": 2, "kernel_size": (1, 3), "padding": (0, 1)},
    "strided": {
        "in_channels": 1,
        "out_channels": 2,
        "kernel_size": 2,
        "stride": (2, 1),
        "padding": 1,
    },
    "dilated": {"in_channels": 1, "out_channels": 2, "kernel_size": 2, "dilation": 2, "padding": 1},
    "grouped": {"in_channels": 2, "out_channels": 2, "kernel_size": 2, "groups": 2},
    "summed": {"in_channels": 1, "out_channels": 4, "kernel_size": 2, "sum_groups": 2},
    "grouped, summed": {
        "in_channels": 2,
        "out_channels": 4,
        "kernel_size": 1,
        "groups": 2,
        "sum_groups": 2,
        "padding": 1,
    },
    "no bias": {"in_channels": 1, "out_channels": 2, "kernel_size": 2, "bias": False},
    "same": {
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": 3,
        "padding": "same",
        "dilation": (1, 2),
    },
}


def layers_and_inputs(second_order: str) -> list[tuple[str, nn.Module, Tensor]]:
    torch.manual_seed(0)
    made = []
    for name, arguments in CONVOLUTIONS.items():
        layer = ComplexConv2d(**arguments, second_order=second_order).double()
        made.append((name, layer, 6 * torch.rand(1, layer.in_channels, 3, 3, dtype=torch.float64)))
    for bias in (True, False):
        layer = ComplexLinear(3, 2, bias=bias, second_order=second_order).double()
        made.append((f"linear, bias={bias}", layer, 6 * torch.rand(2, 3, dtype=torch.float64)))
    return made


def as_function(layer: nn.Module) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    names, values = zip(*layer.named_parameters(), strict=True)

    def apply(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    return apply, values


@pytest.mark.parametrize(
    ("layer", "x"), [pytest.param(*rest, id=name) for name, *rest in layers_and_inputs("exact")]
)
def test_both_derivatives_in_input_and_parameters(layer: nn.Module, x: Tensor) -> None:
    apply, values = as_function(layer)
    x = x.clone().requires_grad_()
    assert gradcheck(apply, (x, *values))
    assert gradgradcheck(apply, (x, *values))


@pytest.mark.parametrize(
    ("layer", "x"),
    [pytest.param(*rest, id=name) for name, *rest in layers_and_inputs("frozen_phase")],
)
def test_frozen_phase_leaves_value_and_first_derivative_exact(layer: nn.Module, x: Tensor) -> None:
    apply, values = as_function(layer)
    x = x.clone().requires_grad_()
    assert gradcheck(apply, (x, *values))
    assert not gradgradcheck(apply, (x, *values), raise_exception=False)
    exact = copy.deepcopy(layer)
    exact.second_order = "exact"
    torch.testing.assert_close(layer(x), exact(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("second_order", ["exact", "frozen_phase"])
def test_torch_func_gives_the_same_numbers(second_order: str) -> None:
    """Nested torch.func over both settings: the penalised gradient, and per-example gradients."""
    for name, layer, x in layers_and_inputs(second_order):
        parameters = dict(layer.named_parameters())

        def penalised(parameters: dict[str, Tensor], x: Tensor, layer: nn.Module = layer) -> Tensor:
            def value(x: Tensor) -> Tensor:
                return torch.func.functional_call(layer, parameters, (x,)).square().sum()

            return torch.func.grad(value)(x).abs().sum()

        found = torch.func.grad(penalised)(parameters, x)
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(layer(leaf).square().sum(), leaf, create_graph=True)
        expected = torch.autograd.grad(
            gradient.abs().sum(), tuple(parameters.values()), allow_unused=True
        )
        for key, reference in zip(parameters, expected, strict=True):
            reference = torch.zeros_like(found[key]) if reference is None else reference
            torch.testing.assert_close(found[key], reference, msg=f"{name}, {key}")
        mapped = torch.func.vmap(lambda one, layer=layer: layer(one[None])[0])(x)
        torch.testing.assert_close(mapped, layer(x))


@settings(max_examples=25, deadline=None)
@given(turns=st.integers(-3, 3), seed=st.integers(0, 2**16))
def test_a_full_turn_of_a_phase_changes_nothing(turns: int, seed: int) -> None:
    torch.manual_seed(seed)
    convolution, linear = ComplexConv2d(1, 2, 2).double(), ComplexLinear(4, 3).double()
    x = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    turned = x + 2 * math.pi * turns
    torch.testing.assert_close(convolution(turned), convolution(x))
    x = torch.rand(2, 4, dtype=torch.float64)
    torch.testing.assert_close(linear(x + 2 * math.pi * turns), linear(x))


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-4, 4), scale=st.floats(0.1, 10), seed=st.integers(0, 2**16))
def test_turning_all_weights_changes_nothing_and_scaling_scales(
    angle: float, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = ComplexLinear(4, 3).double()
    x = 6 * torch.rand(2, 4, dtype=torch.float64)
    before = layer(x)
    factor = torch.polar(torch.tensor(scale).double(), torch.tensor(angle).double())
    for kind in ("weight", "bias"):
        real, imag = getattr(layer, f"{kind}_real"), getattr(layer, f"{kind}_imag")
        turned = factor * torch.complex(real.detach(), imag.detach())
        real.data, imag.data = turned.real.clone(), turned.imag.clone()
    torch.testing.assert_close(layer(x), scale * before, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("second_order", ["exact", "frozen_phase"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_derivatives_are_finite_at_zero(second_order: str, dtype: torch.dtype) -> None:
    for layer, shape in (
        (ComplexConv2d(1, 2, 3, padding=1), (2, 1, 4, 4)),
        (ComplexLinear(4, 2), (2, 4)),
    ):
        layer = layer.to(dtype)
        layer.second_order = second_order
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
        x = torch.rand(shape, dtype=dtype, requires_grad=True)
        y = layer(x)
        assert y.max() <= 1.1e-6
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (y.sum() + gradient.square().sum()).backward()
        assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_padding_is_the_number_zero_and_not_the_phase_zero() -> None:
    layer = ComplexConv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(layer.weight_real)
    nn.init.zeros_(layer.weight_imag)
    y = layer(torch.zeros(1, 1, 2, 2))  # four phasors of length 1 under every 3 x 3 window
    torch.testing.assert_close(y, torch.full_like(y, 4.0))


def test_summing_inside_equals_summing_outside() -> None:
    torch.manual_seed(0)
    inside = ComplexConv2d(2, 6, 3, padding=1, sum_groups=3)
    outside = ComplexConv2d(2, 6, 3, padding=1)
    outside.load_state_dict(inside.state_dict())
    x = torch.rand(4, 2, 5, 5)
    torch.testing.assert_close(inside(x), ChannelGroupSum(3)(outside(x)))


def test_an_example_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(1, 64, 3, padding=1, sum_groups=8)  # several chunks
    x = torch.rand(9, 1, 28, 28)
    torch.testing.assert_close(layer(x)[4:5], layer(x[4:5]))
    assert layer(x[:0]).shape == (0, 8, 28, 28)


def test_weights_and_biases_start_at_one_length_and_any_angle() -> None:
    torch.manual_seed(0)
    layers = (ComplexConv2d(6, 400, 3, groups=2), ComplexLinear(27, 2000))
    for layer in layers:
        for kind in ("weight", "bias"):
            real, imag = getattr(layer, f"{kind}_real"), getattr(layer, f"{kind}_imag")
            length = torch.full_like(real, 1 / math.sqrt(27))
            torch.testing.assert_close(torch.hypot(real, imag), length)
            angle = torch.atan2(imag, real).detach().flatten().double()
            quarters = torch.histc(angle, bins=4, min=-math.pi, max=math.pi) / angle.numel()
            tolerance = 5 * math.sqrt(0.25 * 0.75 / angle.numel())
            assert (quarters - 0.25).abs().max() < tolerance


def test_saving_and_loading_keeps_the_names_and_the_outputs() -> None:
    torch.manual_seed(0)
    names = ["weight_real", "weight_imag", "bias_real", "bias_imag"]
    for make, shape in (
        (lambda: ComplexConv2d(2, 4, 3, sum_groups=2), (1, 2, 5, 5)),
        (lambda: ComplexLinear(5, 3), (2, 5)),
    ):
        saved, x, file = make(), torch.rand(shape), io.BytesIO()
        torch.save(saved.state_dict(), file)
        file.seek(0)
        loaded = make()
        assert not torch.equal(loaded(x), saved(x))
        loaded.load_state_dict(torch.load(file, weights_only=True))
        assert list(saved.state_dict()) == names
        assert torch.equal(loaded(x), saved(x))
        assert torch.equal(copy.deepcopy(saved)(x), saved(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_floating_dtype(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    tolerance = {torch.bfloat16: 0.05, torch.float16: 0.01}.get(dtype, 1e-5)
    for make, shape in (
        (lambda **kind: ComplexConv2d(1, 4, 3, padding=1, sum_groups=2, **kind), (2, 1, 6, 6)),
        (lambda **kind: ComplexLinear(5, 3, **kind), (2, 5)),
    ):
        layer, reference = make(dtype=dtype), make(dtype=torch.float64)
        reference.load_state_dict(layer.state_dict())
        results = []
        for one in (layer, reference):
            x = torch.linspace(0, 3, math.prod(shape), dtype=torch.float64).view(shape)
            x = x.to(one.weight_real.dtype).requires_grad_()
            y = one(x)
            (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            gradient.square().sum().backward()
            assert y.dtype == gradient.dtype == one.weight_real.grad.dtype == x.dtype
            results.append([value.detach().double() for value in (y, gradient)])
        torch.testing.assert_close(*results, rtol=tolerance, atol=8 * tolerance)


def test_under_autocast_the_layers_compute_as_exactly_as_without() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        ComplexConv2d(1, 4, 3, padding=1, sum_groups=2), nn.Flatten(), ComplexLinear(72, 3)
    )
    x = torch.rand(2, 1, 6, 6, requires_grad=True)

    def gradients(*, is_half: bool) -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
            y = network(x)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return [
            y,
            *torch.autograd.grad(y.sum() + gradient.square().sum(), list(network.parameters())),
        ]

    torch.testing.assert_close(gradients(is_half=True), gradients(is_half=False))
    with torch.autocast("cpu", dtype=torch.bfloat16):  # behind a layer that rounds
        assert ComplexLinear(3, 2)(nn.Linear(4, 3)(torch.rand(1, 4))).dtype == torch.float32


@pytest.mark.parametrize("make", [ComplexConv2d, ComplexLinear])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_order": "partial"}, r"one of 'exact', 'frozen_phase', got 'partial'"),
        ({"smoothing": 0.0}, r"smoothing > 0 and finite, got 0\.0"),
        ({"smoothing": float("nan")}, r"smoothing > 0 and finite, got nan"),
        ({"dtype": torch.complex64}, r"real floating point dtype, got torch\.complex64"),
        ({"dtype": torch.int64}, r"real floating point dtype, got torch\.int64"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(
    make: type[nn.Module], changes: dict[str, object], message: str
) -> None:
    arguments = (2, 4, 3) if make is ComplexConv2d else (2, 4)
    with pytest.raises(HyperparameterError, match=message):
        make(*arguments, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 0}, r"in_channels to be an integer >= 1, got 0"),
        ({"out_channels": 2.5}, r"out_channels to be an integer >= 1, got 2\.5"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size as one or two integers >= 1, got \(3, 3, 3\)"),
        ({"stride": 0}, r"stride as one or two integers >= 1, got 0"),
        ({"padding": -1}, r"padding as one or two integers >= 0, got -1"),
        ({"padding": "full"}, r"'same' or 'valid', got 'full'"),
        ({"padding": "same", "stride": 2}, r"stride 1 and an odd kernel for padding='same'"),
        ({"groups": 3}, r"groups to divide in_channels and out_channels, got groups=3"),
        ({"sum_groups": 3}, r"sum_groups to divide out_channels, got sum_groups=3"),
    ],
)  # fmt: skip
def test_impossible_convolutions_are_refused(changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"in_channels": 2, "out_channels": 4, "kernel_size": 3}
    with pytest.raises(HyperparameterError, match=message):
        ComplexConv2d(**(arguments | changes))


def test_inputs_that_do_not_fit_are_refused() -> None:
    convolution, linear = ComplexConv2d(2, 4, 3), ComplexLinear(5, 3)
    with pytest.raises(ShapeError, match=r"\(N, 2, H, W\), got \(1, 3, 8, 8\)"):
        convolution(torch.rand(1, 3, 8, 8))
    with pytest.raises(ShapeError, match=r"\(N, 2, H, W\), got \(2, 8, 8\)"):
        convolution(torch.rand(2, 8, 8))
    with pytest.raises(ShapeError, match=r"as large as the kernel, got \(1, 2, 2, 8\)"):
        convolution(torch.rand(1, 2, 2, 8))
    with pytest.raises(ShapeError, match=r"\(\.\.\., 5\), got \(2, 4\)"):
        linear(torch.rand(2, 4))


def test_a_layer_prints_its_settings() -> None:
    text = repr(ComplexConv2d(1, 4, 3, padding="same", sum_groups=2, second_order="frozen_phase"))
    assert text == (
        "ComplexConv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), "
        "groups=1, bias=True, sum_groups=2, second_order='frozen_phase')"
    )
    assert repr(ComplexLinear(5, 3, bias=False)) == (
        "ComplexLinear(in_features=5, out_features=3, bias=False, second_order='exact')"
    )

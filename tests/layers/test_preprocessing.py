"""The maps between pixels and the first weighted layer, and the channel sum."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.layers import (
    ChannelGroupSum,
    PerImageStandardization,
    PhaseEncoding,
    PixelNormalization,
    SinusoidalContrast,
)


def images(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(
    "module",
    [
        PhaseEncoding(),
        SinusoidalContrast(),
        ChannelGroupSum(2),
        PixelNormalization((0.5, 0.4), (0.2, 0.1)).double(),
        PerImageStandardization(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_both_derivatives_and_dtype(module: nn.Module) -> None:
    x = images(2, 2, 2, 3).requires_grad_()
    assert gradcheck(module, x)
    assert gradgradcheck(module, x)
    assert module.float()(x.float()).dtype == torch.float32


def test_phase_encoding_maps_black_to_0_and_white_to_pi() -> None:
    x = torch.tensor([0.0, 0.25, 1.0])
    torch.testing.assert_close(PhaseEncoding()(x), torch.tensor([0, math.pi / 4, math.pi]))


@given(x=st.floats(0, 1))
def test_contrast_is_monotone_symmetric_and_stays_in_the_pixel_range(x: float) -> None:
    contrast = SinusoidalContrast()
    value = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = contrast(value)
    assert -1e-12 <= y.item() <= 1 + 1e-12
    torch.testing.assert_close(contrast(1 - value), 1 - y)
    (slope,) = torch.autograd.grad(y, value)
    torch.testing.assert_close(slope, 1 - torch.cos(2 * math.pi * value))


def test_group_sum_adds_contiguous_blocks() -> None:
    x = images(2, 6, 2, 2)
    expected = torch.stack([x[:, c] + x[:, 2 + c] + x[:, 4 + c] for c in range(2)], dim=1)
    torch.testing.assert_close(ChannelGroupSum(3)(x), expected)
    with pytest.raises(ShapeError, match=r"multiple of 4, got \(2, 6, 2, 2\)"):
        ChannelGroupSum(4)(x)
    with pytest.raises(HyperparameterError, match="groups to be an integer >= 1, got 0"):
        ChannelGroupSum(0)


def test_pixel_normalization_has_its_numbers_after_the_meta_device() -> None:
    with torch.device("meta"):
        module = PixelNormalization((0.5, 0.25), (0.5, 2.0))
    assert repr(module) == "PixelNormalization(mean=[0.5, 0.25], std=[0.5, 2.0])"
    module.to_empty(device="cpu").double()
    for buffer in module.buffers():
        buffer.fill_(-1)  # whatever lies in empty memory
    module.reset_parameters()
    x = images(1, 2, 3, 3)
    expected = PixelNormalization((0.5, 0.25), (0.5, 2.0)).double()(x)
    torch.testing.assert_close(module(x), expected)


def test_pixel_normalization_travels_with_the_checkpoint_and_is_not_trained() -> None:
    module = PixelNormalization((0.5, 0.25), (0.5, 2.0))
    x = torch.tensor([1.0, 4.25]).view(1, 2, 1, 1)
    torch.testing.assert_close(module(x).flatten(), torch.tensor([1.0, 2.0]))
    assert not list(module.parameters())
    other = PixelNormalization((0.0, 0.0), (1.0, 1.0))
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(x), module(x))
    assert repr(module) == "PixelNormalization(mean=[0.5, 0.25], std=[0.5, 2.0])"
    with pytest.raises(ShapeError, match=r"\(N, 2, H, W\), got \(1, 3, 4, 4\)"):
        module(torch.rand(1, 3, 4, 4))
    with pytest.raises(HyperparameterError, match=r"as many means .* got 1 and 2"):
        PixelNormalization((0.5,), (1.0, 1.0))
    with pytest.raises(HyperparameterError, match=r"every mean finite, got \(nan,\)"):
        PixelNormalization((math.nan,), (1.0,))
    with pytest.raises(HyperparameterError, match=r"every std > 0 and finite, got \(1\.0, 0\.0\)"):
        PixelNormalization((0.5, 0.5), (1.0, 0.0))


def test_standardized_images_have_mean_0_and_variance_1() -> None:
    y = PerImageStandardization()(images(3, 2, 5, 4)).flatten(1)
    torch.testing.assert_close(y.mean(dim=1), torch.zeros(3).double())
    torch.testing.assert_close(y.var(dim=1, unbiased=False), torch.ones(3).double())


def test_standardization_ignores_brightness_and_contrast() -> None:
    module, x = PerImageStandardization(), images(2, 1, 4, 4)
    torch.testing.assert_close(module(0.5 * x + 0.3), module(x))


def test_constant_images_become_zeros_with_finite_derivatives() -> None:
    x = torch.full((2, 1, 3, 3), 0.7, requires_grad=True)
    y = PerImageStandardization()(x)
    torch.testing.assert_close(y, torch.zeros_like(y), rtol=0, atol=1e-4)
    (gradient,) = torch.autograd.grad(y[:, :, 0, 0].sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert gradient.isfinite().all() and x.grad.isfinite().all()
    with pytest.raises(HyperparameterError, match=r"minimum_std > 0 and finite, got 0\.0"):
        PerImageStandardization(minimum_std=0.0)
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got \(3, 3\)"):
        PerImageStandardization()(torch.rand(3, 3))

"""AvgPool2x2 is nn.AvgPool2d(2), whichever way it computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, vmap

from steadygrad.layers import AvgPool2x2


@settings(deadline=None)
@given(
    batch=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    sides=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    is_transposed=st.booleans(),
)
def test_it_is_pytorchs(
    batch: list[int], sides: tuple[int, int], dtype: torch.dtype, is_transposed: bool
) -> None:
    x = torch.randn(*batch, *sides, dtype=dtype)
    x = x.transpose(-1, -2) if is_transposed else x
    torch.testing.assert_close(AvgPool2x2()(x), nn.AvgPool2d(2)(x))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 2, 5, 4), (3, 2, 2)])
def test_both_derivatives(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    layer = AvgPool2x2()
    assert gradcheck(layer, x)
    assert gradgradcheck(lambda x: layer(x).square(), x)


def test_an_image_does_not_see_the_others() -> None:
    x = torch.randn(5, 3, 8, 6)
    together = AvgPool2x2()(x)
    alone = torch.cat([AvgPool2x2()(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-7)


def test_no_image_at_all_and_transforms_work_as_with_pytorchs() -> None:
    layer = AvgPool2x2()
    assert layer(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 2, 2)
    x = torch.randn(3, 2, 4, 4)
    torch.testing.assert_close(vmap(lambda one: functional_call(layer, {}, one))(x), layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == nn.AvgPool2d(2)(x).dtype
    tangent = torch.autograd.functional.jvp(layer, x, x)[1]
    torch.testing.assert_close(tangent, layer(x))
    torch.testing.assert_close(torch.func.jvp(layer, (x,), (x,))[1], layer(x))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        moved = torch.autograd.forward_ad.unpack_dual(layer(dual)).tangent
    torch.testing.assert_close(moved, layer(x))


def test_an_infinite_value_stays_in_its_window() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = torch.inf
    assert AvgPool2x2()(x).flatten().tolist() == [0, torch.inf, 0, 0]


def test_an_image_smaller_than_a_window_is_refused_as_by_pytorch() -> None:
    with pytest.raises(RuntimeError, match="too small"):
        AvgPool2x2()(torch.zeros(1, 1, 1, 4))

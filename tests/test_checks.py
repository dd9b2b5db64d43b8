"""What counts as an image, a label and a radius."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygrad.checks import check_eps, check_images, check_labels
from steadygrad.errors import HyperparameterError, ImageError, LabelError, SteadygradError


@given(eps=st.floats(0, 1))
def test_radii_in_the_pixel_range_pass(eps: float) -> None:
    check_eps(eps)


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (8.0, r"eps in \[0, 1\], got 8.0; did you mean 8/255\?"),
        (-0.1, r"eps in \[0, 1\], got -0.1$"),
        (float("nan"), r"eps in \[0, 1\], got nan$"),
        (1000.0, r"got 1000.0$"),
    ],
)
def test_other_radii_are_refused(eps: float, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        check_eps(eps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_in_range_passes(dtype: torch.dtype) -> None:
    check_images(torch.rand(2, 3, 4, 5).to(dtype))


def test_rounding_just_outside_the_range_passes() -> None:
    check_images(torch.tensor([-1e-6, 1 + 1e-6]).view(1, 1, 1, 2))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1.01, -0.01])
def test_values_outside_are_refused(value: float) -> None:
    with pytest.raises(ImageError, match=r"expected pixels in \[0, 1\], got values from"):
        check_images(torch.tensor([0.5, value]).view(1, 1, 1, 2))


def test_labels_may_be_checked_without_knowing_the_classes() -> None:
    check_labels(torch.tensor([0, 99]), 2)
    with pytest.raises(LabelError, match="labels from 0 to 9, got 99"):
        check_labels(torch.tensor([0, 99]), 2, classes=10)


def test_every_error_is_ours_and_a_standard_one() -> None:
    from steadygrad import errors

    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, SteadygradError)
        if error is not SteadygradError:
            assert issubclass(error, ValueError | RuntimeError)

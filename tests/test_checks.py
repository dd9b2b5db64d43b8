"""What counts as an image, a label and a radius."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadygrad.checks import (
    _seen,
    check_batch_size,
    check_eps,
    check_finite_losses,
    check_images,
    check_labels,
    check_target_values,
    first_time,
)
from steadygrad.devices import resolve_device
from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    SteadygradError,
)


@given(eps=st.floats(0, 1))
def test_radii_in_the_pixel_range_pass(eps: float) -> None:
    check_eps(eps)


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (8.0, r"eps in \[0, 1\], got 8.0; did you mean 8/255\?"),
        (256 / 255, r"eps in \[0, 1\], got 1\.00392\d+$"),
        ("8/255", "expected a number as eps, got '8/255'; write 8/255 without quotes"),
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


def test_rows_of_logits_count_as_images() -> None:
    with pytest.raises(ModelError, match="NaN or infinity for 1 of 2 images"):
        check_finite_losses(torch.tensor([[1.0, torch.nan, torch.inf], [0.0, 1.0, 2.0]]))


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


def test_probabilities_as_labels() -> None:
    check_target_values(torch.tensor([[0.25, 0.75], [1.0, 0.0]]), 2)
    check_target_values(torch.tensor([0.2, 1.0]), 2)
    for wrong, message in (
        (torch.tensor([[0.5, 0.6]]), "add up to 1, got a sum that is 0.1 off"),
        (torch.tensor([[-0.5, 1.5]]), "no probabilities either, from -0.5 to 1.5"),
        (torch.rand(1, 2, 3), r"of shape \(1, classes\)"),
        (torch.tensor([float("nan")]), "from nan"),
    ):
        with pytest.raises(LabelError, match=message):
            check_target_values(wrong, 1)


def test_a_first_time_is_once_an_object_and_a_topic() -> None:
    class Model:
        def method(self) -> None: ...

    one, other = Model(), Model()
    assert first_time(one, "a") and first_time(one, "b") and first_time(other, "a")
    assert not first_time(one, "a")
    assert not first_time(one.method, "b")  # a bound method stands for its object
    key = id(one)
    del one
    assert key not in _seen  # another object at that address begins anew
    assert first_time(3.5, "a") in (True, False)  # no weak references: still no error


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "8", None])
def test_a_batch_is_a_whole_number_of_images(batch_size: object) -> None:
    with pytest.raises(HyperparameterError, match="expected batch_size >= 1, got"):
        check_batch_size(batch_size)
    check_batch_size(torch.tensor([3, 4]).numpy()[0])
    with pytest.raises(HyperparameterError, match=r"batch_size < 2\^63, got 9223372036854775808"):
        check_batch_size(2**63)


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", "meta", torch.device("meta")])
def test_a_device_that_is_not_there_is_named(device: str | torch.device) -> None:
    with pytest.raises(HyperparameterError, match="device"):
        resolve_device(device)

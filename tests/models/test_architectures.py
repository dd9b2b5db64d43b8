"""Every named network: its shapes, its preprocessing, its twins."""

from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.errors import ModelError, UnknownNameError
from steadygrad.layers import GELU, ComplexConv2d, ComplexLinear, PhaseEncoding
from steadygrad.models import build_model, model_entry, model_names


@pytest.mark.parametrize("name", model_names())
def test_images_become_one_row_of_logits_each(name: str) -> None:
    entry = model_entry(name)
    torch.manual_seed(0)
    logits = build_model(name).eval()(torch.rand(3, *entry.input_shape))
    assert logits.shape == (3, entry.num_classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", model_names())
def test_another_image_size_and_number_of_classes_fit(name: str) -> None:
    height = max(model_entry(name).smallest, 18)
    model = build_model(name, input_shape=(2, height, height + 1), num_classes=3).eval()
    assert model(torch.rand(2, 2, height, height + 1)).shape == (2, 3)


@pytest.mark.parametrize("name", [n for n in model_names() if n.endswith("-gelu")])
def test_the_smooth_twin_differs_in_its_activation_only(name: str) -> None:
    stem = name.removesuffix("-gelu")
    other = f"{stem}-relu" if f"{stem}-relu" in model_names() else f"{stem}-real"
    torch.manual_seed(0)
    smooth = build_model(name)
    torch.manual_seed(0)
    published = build_model(other)
    for (path, ours), (_, theirs) in zip(
        smooth.named_modules(), published.named_modules(), strict=True
    ):
        assert type(ours) is type(theirs) or {type(ours), type(theirs)} == {GELU, nn.ReLU}, path
    for key, value in smooth.state_dict().items():
        assert torch.equal(value, published.state_dict()[key]), key


@pytest.mark.parametrize("second_order", ["exact", "frozen_phase"])
@pytest.mark.parametrize("name", [n for n in model_names() if model_entry(n).is_complex])
def test_second_order_reaches_every_complex_layer(name: str, second_order: str) -> None:
    model = build_model(name, second_order=second_order)
    layers = [m for m in model.modules() if isinstance(m, ComplexConv2d | ComplexLinear)]
    assert layers
    assert {layer.second_order for layer in layers} == {second_order}
    assert isinstance(next(m for m in model.modules() if isinstance(m, PhaseEncoding)), nn.Module)


def test_real_weights_follow_he_et_al() -> None:
    torch.manual_seed(0)
    layer = build_model("yeats2021-mnist-real").get_submodule("fc1")
    assert isinstance(layer, nn.Linear)
    expected = (2 / layer.in_features) ** 0.5
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert layer.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "lenet"}, UnknownNameError, r"unknown model 'lenet'.*; choose one of yeats2021-"),
        (
            {"name": "yeats2021-mnist-real", "input_shape": (1, 3, 28)},
            ModelError,
            r"at least 4x4 pixels for yeats2021-mnist-real, got \(1, 3, 28\)",
        ),
        ({"name": "digits-real", "num_classes": 1}, ModelError, "at least 2 classes, got 1"),
        (
            {"name": "digits-complex", "second_order": "partial"},
            ModelError,
            "'exact' or 'frozen_phase', got 'partial'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_model(**arguments)


def test_the_released_code_starts_from_weights_half_as_long() -> None:
    torch.manual_seed(0)
    short = build_model("yeats2021-mnist-real-small-init").state_dict()
    torch.manual_seed(0)
    for key, value in build_model("yeats2021-mnist-real").state_dict().items():
        assert torch.equal(short[key], value / 2), key

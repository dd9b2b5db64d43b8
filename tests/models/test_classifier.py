"""Laws of steadygrad.models.classifier and steadygrad.models.smooth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from steadygrad.errors import HyperparameterError, ModelError, ShapeError
from steadygrad.evaluation import accuracy
from steadygrad.models import Classifier, check_fits, piecewise_linear, smooth_activations
from steadygrad.penalties import NormPenalty

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Output(NamedTuple):
    logits: Tensor
    hidden: Tensor


class Wrapped(nn.Module):
    """A network whose logits come in a container."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.linear = kind, nn.Linear(192, 5)

    def forward(self, x: Tensor) -> Any:
        logits = self.linear(x.flatten(1))
        return {
            "tensor": logits,
            "dict": {"loss": None, "logits": logits},
            "tuple": (logits, x),
            "output": Output(logits, x),
        }[self.kind]


@dataclass
class Container:
    loss: None
    logits: Tensor


@pytest.mark.parametrize(
    ("returned", "is_clear"),
    [
        (lambda logits, x: Container(None, logits), True),
        (lambda logits, x: (logits, x, x.mean()), True),
        (lambda logits, x: (logits, 0.1 * logits), True),  # an auxiliary head
        (lambda logits, x: (x.flatten(1), logits), False),
        (lambda logits, x: [logits, x.flatten(1)], False),
        (lambda logits, x: {"out": logits}, False),
        (lambda logits, x: Container(None, None), False),  # type: ignore[arg-type]
    ],
)
def test_logits_that_are_not_clear_are_refused_by_penalties_too(
    returned: Callable[[Tensor, Tensor], Any], is_clear: bool
) -> None:
    network = nn.Linear(192, 5)

    def model(x: Tensor) -> Any:
        return returned(network(x.flatten(1)), x)

    labels = torch.tensor([0, 1])
    with pytest.raises(ModelError, match=r"Classifier\(model\) takes the logits out"):
        accuracy(model, IMAGES, labels)
    if is_clear:
        found = NormPenalty(eps=0.1)(model, IMAGES, labels).loss
        expected = NormPenalty(eps=0.1)(lambda x: network(x.flatten(1)), IMAGES, labels).loss
        torch.testing.assert_close(found, expected)
    else:
        with pytest.raises(ModelError, match="return them alone, or in a dict"):
            NormPenalty(eps=0.1)(model, IMAGES, labels)


@pytest.mark.parametrize("kind", ["tensor", "dict", "tuple", "output"])
def test_logits_are_found_in_what_the_network_returns(kind: str) -> None:
    network = Wrapped(kind)
    model = Classifier(network, mean=[0.1] * 3, std=[0.5] * 3)
    expected = network.linear(((IMAGES - 0.1) / 0.5).flatten(1))
    torch.testing.assert_close(model(IMAGES), expected)
    assert [k for k in model.state_dict() if k.startswith("model.")] == [
        "model.linear.weight",
        "model.linear.bias",
    ]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)[:, None]
        return self.head(scaled_dot_product_attention(tokens, tokens, tokens).mean(dim=(1, 2)))


def test_attention_can_be_penalised_unless_fused_kernels_are_asked_for() -> None:
    labels = torch.tensor([0, 1])
    penalty = NormPenalty(eps=0.1)
    result = penalty(Classifier(Attention()), IMAGES, labels)
    result.loss.backward()
    with pytest.raises(ModelError, match=r"attention kernel has no second derivative"):
        penalty(Classifier(Attention(), fused_attention=True), IMAGES, labels).loss.backward()


def test_images_are_scaled_inside_and_eps_stays_in_pixels() -> None:
    model = Classifier(Wrapped("tensor"), resize=8)
    assert model(torch.rand(2, 3, 20, 12)).shape == model(torch.rand(2, 3, 4, 4)).shape == (2, 5)
    NormPenalty(eps=0.1)(model, torch.rand(2, 3, 4, 4), torch.tensor([0, 1])).loss.backward()
    assert torch.equal(model(IMAGES), model.model(IMAGES))


def test_it_exports_with_a_dynamic_batch(tmp_path: Path) -> None:
    model = Classifier(Wrapped("dict"), mean=[0.1] * 3, std=[0.5] * 3).eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (IMAGES,), dynamic_shapes=({0: batch},))
    more = torch.rand(5, 3, 8, 8)
    torch.testing.assert_close(program.module()(more), model(more))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"both mean and std or neither"):
        Classifier(nn.Identity(), mean=[0.5])
    with pytest.raises(HyperparameterError, match=r"expected resize >= 1"):
        Classifier(nn.Identity(), resize=0)
    with pytest.raises(ShapeError, match=r"\(N, 3, H, W\)"):
        Classifier(nn.Identity(), mean=[0.5] * 3, std=[1] * 3)(torch.rand(1, 1, 8, 8))


def test_smooth_activations_take_the_place_of_all_piecewise_linear_ones() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU6(), nn.Hardswish()))
    keys = list(network.state_dict())
    assert piecewise_linear(network) == ["1", "2.0", "2.1"]
    assert smooth_activations(network, "silu") == 3
    assert piecewise_linear(network) == [] and list(network.state_dict()) == keys
    with pytest.raises(ModelError, match=r"expected ReLU modules to replace by gelu, found none"):
        smooth_activations(network)


def test_one_activation_in_several_places_is_replaced_in_all_of_them() -> None:
    relu = nn.ReLU()
    network = nn.Sequential(nn.Linear(2, 2), relu, nn.Sequential(nn.Linear(2, 2), relu), relu)
    assert piecewise_linear(network) == ["1", "2.1", "3"]
    assert smooth_activations(network) == 3
    assert [type(network[index]) for index in (1, 3)] == [nn.GELU, nn.GELU]
    assert piecewise_linear(network) == []


class Raising(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        (nn.Conv2d(3, 4, 3).half(), "its weights are float16 and the images float32; convert"),
        (nn.Conv2d(3, 4, 3).double(), "its weights are float64"),
        (nn.Conv2d(1, 4, 3), "its first convolution takes 1 channels, the images have 3"),
        (Raising(KeyError("boom")), "KeyError: 'boom'$"),
        (Raising(AssertionError("Input height (8) doesn't match model (224).")), "resize=SIDE"),
        (nn.Sequential(nn.Flatten(), nn.Linear(10, 4)), "give an image_size that it was made for"),
    ],
)
def test_the_cause_is_named_where_images_do_not_fit(network: nn.Module, cause: str) -> None:
    with pytest.raises(ModelError, match=f"mine cannot take images of 3x8x8: .*{cause}"):
        check_fits(Classifier(network), (3, 8, 8), None, "mine")

"""What an attack returns is judged before it counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import ATTACKS, PGD, attack
from steadygrad.attacks.results import are_inside
from steadygrad.errors import ImageError
from steadygrad.evaluation import accuracy_curve

EPS = 0.1


@dataclass(frozen=True, kw_only=True)
class Returning:
    """An attack that returns what a function makes of the images."""

    eps: float = EPS
    made: Callable[[Tensor], Any] = torch.clone

    def __call__(self, model: Any, images: Tensor, labels: Tensor, *, generator: Any = None) -> Any:
        return self.made(images)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_classes", "_names", "_about"):
        monkeypatch.setattr(ATTACKS, registry, dict(getattr(ATTACKS, registry)))
    attack("test-returning", title="Returning", family="query")(Returning)


def measured(made: Callable[[Tensor], Any]) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.rand(6, 1, 4, 4).clamp(0.2, 0.8)
    labels = model(images).argmax(dim=1)
    return accuracy_curve(model, images, labels, Returning(made=made), (EPS,))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda x: None, "the attack Returning returned NoneType, not a tensor"),
        (lambda x: np.asarray(x), "returned ndarray, not a tensor"),
        (lambda x: x.double(), "returned torch.float64 of shape .* for images of torch.float32"),
        (lambda x: x[:-1], r"of shape \(5, 1, 4, 4\) for images"),
        (lambda x: x * torch.nan, r"pixels that are NaN or outside \[0, 1\]"),
        (lambda x: x + 1, r"pixels that are NaN or outside \[0, 1\]"),
        (lambda x: x + 0.15, "an image 0.15 away in linf, beyond its eps of 0.1"),
    ],
)
def test_a_wrong_result_is_one_sentence(registered: None, made: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        measured(made)


def test_a_result_on_the_boundary_counts(registered: None) -> None:
    assert measured(lambda x: x + EPS).points[0].eps == EPS


def test_an_attack_that_is_not_registered_promises_no_ball() -> None:
    assert measured(lambda x: x + 0.15).points[0].eps == EPS
    with pytest.raises(ImageError, match="NaN"):
        measured(lambda x: x * torch.nan)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_inside_is_what_the_norm_says(norm: Any) -> None:
    images = torch.full((3, 1, 4, 4), 0.5)
    change = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    order = {"linf": float("inf"), "l2": 2, "l1": 1}[norm]
    change = change / change.flatten(1).norm(order, dim=1).view(-1, 1, 1, 1)
    sizes = torch.tensor([0.05, 0.2, 0.2001]).view(-1, 1, 1, 1)
    found = are_inside(images + sizes * change, images, eps=0.2, norm=norm)
    assert found.tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_every_pixel_of_a_large_image_leaves_no_ball(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 224, 224, generator=draws).to(dtype)
    change = torch.randn(images.shape, generator=draws).double()
    change *= 0.5 / change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    adversarial = (images.double() + change).clamp(0, 1).to(dtype)
    lengths = (adversarial.double() - images.double()).flatten(1).norm(dim=1)
    assert (lengths > 0.501).all()  # the type has no pixels for a shorter change
    assert are_inside(adversarial, images, eps=0.5, norm="l2").all()
    far = (images.double() + 4 * change).clamp(0, 1).to(dtype)
    assert not are_inside(far, images, eps=0.5, norm="l2").any()


def test_what_the_library_returns_passes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.rand(6, 1, 4, 4)
    adversarial = PGD(eps=EPS)(model, images, model(images).argmax(dim=1))
    assert are_inside(adversarial, images, eps=EPS).all()

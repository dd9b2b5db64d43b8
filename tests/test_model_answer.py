"""Laws of steadygrad.model_answer: nobody's images change without a word."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import PGD, DeepFool, RandomNoise
from steadygrad.errors import SteadygradError
from steadygrad.evaluation import accuracy, accuracy_curve, audit
from steadygrad.models import Classifier
from steadygrad.penalties import FiniteDifference, NormPenalty

IMAGES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
REFUSAL = "leaves the images as they are, got one that changes them in place.*Classifier"


class Centred(nn.Module):
    """Centres pixels, in place or not; both stay in [0, 1]."""

    def __init__(self, is_in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.is_in_place = is_in_place
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        if self.is_in_place:
            return self.layers(x.sub_(0.5).mul_(0.4).add_(0.5))
        return self.layers((x - 0.5) * 0.4 + 0.5)


CALLS = {
    "accuracy": lambda model, images: accuracy(model, images, LABELS),
    "curve": lambda model, images: [
        point.accuracy
        for point in accuracy_curve(
            model, images, LABELS, RandomNoise(eps=0.1), eps_values=(0, 0.1, 0.3)
        ).points
    ],
    "pgd": lambda model, images: PGD(eps=0.1, steps=3, random_start=False)(model, images, LABELS),
    "random noise": lambda model, images: RandomNoise(eps=0.1, samples=2)(
        model, images, LABELS, generator=torch.Generator().manual_seed(0)
    ),
    "deepfool": lambda model, images: DeepFool()(model, images, LABELS),
    "penalty": lambda model, images: NormPenalty(eps=0.1)(model, images, LABELS).loss,
    "finite difference": lambda model, images: (
        NormPenalty(eps=0.1, backend=FiniteDifference(minimum_cosine=-1))(
            model, images, LABELS
        ).loss
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_in_place_is_refused_and_the_images_stay(call) -> None:  # type: ignore[no-untyped-def]
    model, images = Centred(True), IMAGES.clone()
    for _ in range(2):
        with pytest.raises(SteadygradError, match=REFUSAL):
            call(model, images)
        assert torch.equal(images, IMAGES)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_classifier_hands_such_a_network_a_copy(call) -> None:  # type: ignore[no-untyped-def]
    images = IMAGES.clone()
    found, expected = (call(Classifier(Centred(flag)), images) for flag in (True, False))
    torch.testing.assert_close(found, expected)
    assert torch.equal(images, IMAGES)


def _in_inference_mode(model: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        model(images)


UNCOUNTED = {
    "inference mode": _in_inference_mode,
    "vmap": torch.func.vmap(lambda model, image: model(image[None])[0], in_dims=(None, 0)),
    "gradient": lambda model, images: torch.func.grad(lambda x: model(x).sum())(images),
}


@pytest.mark.parametrize("call", UNCOUNTED.values(), ids=UNCOUNTED)
def test_a_classifier_learns_nothing_from_calls_in_which_nobody_counts(call) -> None:  # type: ignore[no-untyped-def]
    model, images = Classifier(Centred(True)), IMAGES.clone()
    for _ in range(2):
        call(model, IMAGES.clone())
        model(images)
        assert torch.equal(images, IMAGES)


def test_an_audit_names_the_cause() -> None:
    with pytest.raises(SteadygradError, match=REFUSAL):
        audit(Centred(True), IMAGES, LABELS, eps=0.1, budget="quick")

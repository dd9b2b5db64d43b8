"""Small networks, honest and fraudulent, and a short way from a model to its sample."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.evaluation.masking import Subject
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.layers import ComplexConv2d, ComplexLinear, PhaseEncoding, SecondOrder
from steadygrad.penalties import SquaredNormPenalty

Digits = tuple[Tensor, Tensor]
Fit = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Scaled(nn.Module):
    """Fraud (a): logits so large that the softmax saturates."""

    def __init__(self, model: nn.Module, factor: float = 1e4) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.model(x)


class Quantised(nn.Module):
    """Fraud (b): pixels rounded to levels, without a gradient or with a made-up one."""

    def __init__(
        self, model: nn.Module, *, is_straight_through: bool = False, levels: int = 8
    ) -> None:
        super().__init__()
        self.model, self.is_straight_through, self.steps = model, is_straight_through, levels - 1

    def forward(self, x: Tensor) -> Tensor:
        rounded = (self.steps * x).round() / self.steps
        return self.model(x + (rounded - x).detach() if self.is_straight_through else rounded)


class Noisy(nn.Module):
    """Fraud (c): fresh noise on the input in every call."""

    def __init__(self, model: nn.Module, sigma: float = 0.1) -> None:
        super().__init__()
        self.model, self.sigma = model, sigma

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + self.sigma * torch.randn_like(x))


def _plain(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(images), labels)


def _adversarial(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return _plain(model, PGD(eps=0.15, steps=4)(model, images, labels), labels)


def _regularized(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return SquaredNormPenalty(strength=0.03)(model, images, labels).loss


def _real(activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), activation(), nn.Linear(48, 10))


def _complex(second_order: SecondOrder) -> nn.Module:
    return nn.Sequential(
        PhaseEncoding(),
        ComplexConv2d(1, 4, 3, stride=2, padding=1, second_order=second_order),
        nn.Flatten(),
        ComplexLinear(64, 10, second_order=second_order),
    )


HONEST: dict[str, tuple[Callable[[], nn.Module], Fit]] = {
    "plain": (lambda: _real(nn.ReLU), _plain),
    "pgd-trained": (lambda: _real(nn.ReLU), _adversarial),
    "regularized relu": (lambda: _real(nn.ReLU), _regularized),
    "regularized gelu": (lambda: _real(nn.GELU), _regularized),
    "complex": (lambda: _complex("exact"), _regularized),
    "complex, frozen phase": (lambda: _complex("frozen_phase"), _regularized),
}
FRAUDS: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "logits times 1e4": (Scaled, "saturated softmax"),
    "rounded input": (Quantised, "input quantisation"),
    "straight-through rounded input": (
        lambda model: Quantised(model, is_straight_through=True),
        "input quantisation",
    ),
    "noisy input": (Noisy, "randomness"),
}


@pytest.fixture(scope="session")
def honest(digits: Digits) -> dict[str, nn.Module]:
    images, labels = (tensor[:400] for tensor in digits)
    networks = {}
    with torch.random.fork_rng():
        for name, (build, fit) in HONEST.items():
            torch.manual_seed(0)
            model = build()
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            for _ in range(60):
                optimizer.zero_grad()
                fit(model, images, labels).backward()
                optimizer.step()
            model.zero_grad(set_to_none=True)
            networks[name] = model.eval()
    return networks


MakeSample = Callable[..., Sample]


@pytest.fixture
def sample_of(held_out: Digits) -> MakeSample:
    """Return a way to a sample: of digits, or of images and labels given; all count as right."""

    def build(
        model: nn.Module,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        **settings: object,
    ) -> Sample:
        images = held_out[0] if images is None else images
        if labels is None:
            with torch.no_grad():
                labels = model(images).argmax(dim=1)
        right = torch.ones(len(images), dtype=torch.bool)
        chosen = {"eps": 0.1, "examples": 32} | settings
        return Sample(
            Subject(model=model, images=images, labels=labels, clean_correct=right, **chosen)
        )

    return build

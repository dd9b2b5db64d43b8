"""A small network that learns a model's answers around a few images."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from steadygrad._typing import Classifier, Images, Logits

__all__ = ["Answers", "build_surrogate", "fit"]

LARGEST_MAP = 8
"""Side of the last feature map, at most."""
CHANNELS = 32
SHARPNESS = 2.0
"""Nats that the model's median lead becomes: neither one-hot nor flat answers to learn from."""


def build_surrogate(images: Images, classes: int, seed: int) -> nn.Sequential:
    """Return an untrained convolutional network for images like these, in float32.

    It halves the side until it is at most 8. torch's global generator is left as it was.
    """
    with (
        torch.inference_mode(False),
        torch.random.fork_rng(devices=[images.device] if images.is_cuda else []),
    ):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [
            nn.Conv2d(images.shape[1], CHANNELS, 3, padding=1, device=images.device),
            nn.GELU(),
        ]
        height, width = images.shape[2:]
        wide = CHANNELS
        while max(height, width) > LARGEST_MAP:
            layers += [nn.Conv2d(wide, 2 * CHANNELS, 3, 2, 1, device=images.device), nn.GELU()]
            height, width, wide = (height + 1) // 2, (width + 1) // 2, 2 * CHANNELS
        layers += [
            nn.Flatten(),
            nn.Linear(wide * height * width, 128, device=images.device),
            nn.GELU(),
            nn.Linear(128, classes, device=images.device),
        ]
        return nn.Sequential(*layers).float()


@dataclass
class Answers:
    """Images that a model was asked about, and what it answered.

    images: (m, channels, height, width), float32; answers: (m, classes), probabilities.
    temperature: what logits are divided by; set by the first answers.
    """

    images: list[Images] = field(default_factory=list)
    answers: list[Tensor] = field(default_factory=list)
    temperature: float = 0.0

    @torch.no_grad()
    def ask(self, model: Classifier, images: Images) -> None:
        """Ask the model about more images, in its own dtype."""
        logits = model(images).float()
        if not self.temperature:
            first, second = logits.topk(min(2, logits.shape[1]), dim=1).values[:, [0, -1]].unbind(1)
            self.temperature = max(float((first - second).median()), 1e-12) / SHARPNESS
        self.images.append(images.detach().float())
        self.answers.append((logits / self.temperature).softmax(dim=1))

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Images, Tensor]]:
        """Yield all that was asked once, in an order drawn on the CPU."""
        images, answers = torch.cat(self.images), torch.cat(self.answers)
        order = torch.randperm(len(images), generator=generator, device="cpu").to(images.device)
        for rows in order.split(size):  # type: ignore[no-untyped-call] # torch leaves it untyped
            yield images[rows], answers[rows]


def fit(surrogate: nn.Module, answers: Answers, epochs: int, generator: torch.Generator) -> None:
    """Train the surrogate on the answers for some epochs, by Adam on the divergence from them."""
    optimizer = torch.optim.Adam(surrogate.parameters(), lr=1e-3)
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(epochs):
            for images, targets in answers.batches(128, generator):
                logits: Logits = surrogate(images.clone())
                loss = kl_div(log_softmax(logits, dim=1), targets.clone(), reduction="batchmean")
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
                optimizer.step()

"""Networks that only look robust: each hides its gradient, or its decision, in a way of its own."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, one_hot

__all__ = [
    "DISHONEST",
    "BlockQuantised",
    "HardDecision",
    "HardVote",
    "HiddenByDetach",
    "KWinners",
    "NoGradient",
    "Noisy",
    "Quantised",
    "RoundedLogits",
    "Sawtooth",
    "Scaled",
    "Shattered",
    "with_winners",
]


class _Around(nn.Module):
    """A model around another."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class Scaled(_Around):
    """Logits so large that the softmax saturates."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits times 10,000."""
        logits: Tensor = 1e4 * self.model(images)
        return logits


class Quantised(_Around):
    """Pixels rounded to levels, without a gradient or with a made-up one."""

    def __init__(
        self, model: nn.Module, *, levels: int = 8, is_straight_through: bool = False
    ) -> None:
        super().__init__(model)
        self.steps, self.is_straight_through = levels - 1, is_straight_through

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the rounded images."""
        rounded = (self.steps * images).round() / self.steps
        shown = images + (rounded - images).detach() if self.is_straight_through else rounded
        logits: Tensor = self.model(shown)
        return logits


class BlockQuantised(_Around):
    """Means of blocks of 2x2 pixels, rounded to 8 levels."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the coarse images."""
        rounded = (7 * avg_pool2d(images, 2)).round() / 7
        logits: Tensor = self.model(interpolate(rounded, size=images.shape[2:]))
        return logits


class RoundedLogits(_Around):
    """Logits rounded to whole numbers."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the rounded logits."""
        logits: Tensor = self.model(images)
        return logits.round()


class HardDecision(_Around):
    """The decision alone, without a gradient, and scores of a random network for attacks to climb.

    share: size of the decoy's scores beside the decision's 1.
    """

    def __init__(
        self, model: nn.Module, *, pixels: int = 64, classes: int = 10, share: float = 0.1
    ) -> None:
        super().__init__(model)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.decoy = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes), nn.Tanh())
        self.classes, self.share = classes, share

    def forward(self, images: Tensor) -> Tensor:
        """Return 1 for the class decided on, 0 for the others, and the decoy's scores on top."""
        decision = one_hot(self.model(images).argmax(dim=1), self.classes)
        scores: Tensor = decision.to(images.dtype) + self.share * self.decoy(images)
        return scores


class Sawtooth(_Around):
    """Pixels reflected within teeth: nearly the image, with a slope of -1 nearly everywhere."""

    def __init__(self, model: nn.Module, *, teeth: int = 32) -> None:
        super().__init__(model)
        self.teeth = teeth

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the reflected images."""
        part = torch.remainder(self.teeth * images, 1.0)
        logits: Tensor = self.model(images + (1 - 2 * part) / self.teeth)
        return logits


class Shattered(_Around):
    """A fine wave added to every pixel: gradients of the right mean, drowned by others."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the image with the wave on it."""
        logits: Tensor = self.model(images + 0.02 * torch.sin(3000 * images))
        return logits


class HardVote(_Around):
    """Votes of the model on five shifted copies of the image; votes have no gradient."""

    def __init__(self, model: nn.Module, *, classes: int = 10) -> None:
        super().__init__(model)
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Return the number of votes for each class."""
        shifts = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        votes = [
            one_hot(self.model(images.roll(shift, (2, 3))).argmax(dim=1), self.classes)
            for shift in shifts
        ]
        total: Tensor = torch.stack(votes).sum(dim=0).to(images.dtype)
        return total


class Noisy(_Around):
    """Fresh noise on the image in every call."""

    def __init__(self, model: nn.Module, *, sigma: float = 0.1) -> None:
        super().__init__(model)
        self.sigma = sigma

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the noisy images."""
        logits: Tensor = self.model(images + self.sigma * torch.randn_like(images))
        return logits


class HiddenByDetach(_Around):
    """The image enters without its gradient, but for a faint trace of it."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits; their gradient is that of a shifted image, times a thousandth."""
        trace = 1e-3 * images.flip(3)
        logits: Tensor = self.model(images.detach() + trace - trace.detach())
        return logits


class _Mute(torch.autograd.Function):
    """The identity, with a gradient of zero."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, images: Tensor) -> Tensor:
        """Return the images."""
        return images.clone()

    @staticmethod
    def backward(
        _: torch.autograd.function.FunctionCtx,
        *gradients: Tensor,
    ) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(gradients[0])


class NoGradient(_Around):
    """A hand-written operation swallows the gradient; no substitute knows what it computes."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.model(_Mute.apply(images))  # type: ignore[no-untyped-call] # torch leaves it untyped
        return logits


class KWinners(nn.Module):
    """Keep the largest entries of a layer, of every example, and set the others to zero.

    kept: share of the entries, in (0, 1).
    """

    def __init__(self, kept: float = 0.1) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, features: Tensor) -> Tensor:
        """Return the winners, shaped like the features."""
        flat = features.flatten(start_dim=1)
        least = flat.topk(max(1, int(self.kept * flat.shape[1])), dim=1).values[:, -1:]
        return torch.where(flat >= least, flat, torch.zeros_like(flat)).view_as(features)


def with_winners(model: nn.Sequential) -> nn.Sequential:
    """Return the layers of a network with winners in the place of every ReLU."""
    layers = [KWinners() if isinstance(layer, nn.ReLU) else layer for layer in model]
    return nn.Sequential(*layers)


DISHONEST: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "logits times 1e4": Scaled,
    "block quantiser": BlockQuantised,
    "8 levels": Quantised,
    "8 levels, straight-through": partial(Quantised, is_straight_through=True),
    "rounded logits": RoundedLogits,
    "hard decision, decoy": HardDecision,
    "hard decision, large decoy": partial(HardDecision, share=0.4),
    "sawtooth": Sawtooth,
    "shattered": Shattered,
    "hard vote": HardVote,
    "noise": Noisy,
    "detached": HiddenByDetach,
    "no gradient": NoGradient,
}
"""Name to a way of making a network of 64 pixels and 10 classes dishonest."""

"""An attack of your own beside PGD: blur, at the strength that hurts each image most."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from steadygrad.attacks import ATTACKS, PGD, attack
from steadygrad.datasets import batches, load_dataset
from steadygrad.evaluation import accuracy_curve


@attack("blur", title="blur", family="query")
@dataclass(frozen=True, kw_only=True)
class Blur:
    """Move each image towards its 3x3 mean, no pixel by more than ``eps``.

    Args:
        eps: largest change of any pixel, in [0, 1].
        strengths: how many mixtures of image and mean are tried, at least 1.
    """

    eps: float
    strengths: int = 4

    @torch.no_grad()
    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return, for each image, the mixture of the highest cross-entropy."""
        mean = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        worst, highest = images, cross_entropy(model(images), labels, reduction="none")
        for number in range(1, self.strengths + 1):
            change = (mean - images).clamp(-self.eps, self.eps) * number / self.strengths
            tried = images + change
            losses = cross_entropy(model(tried), labels, reduction="none")
            is_worse = losses > highest
            worst = torch.where(is_worse[:, None, None, None], tried, worst)
            highest = torch.maximum(losses, highest)
        return worst


def main(epochs: int = 4) -> dict[str, float]:
    """Train a network on the embedded digits; return its accuracy at 0.1 under both attacks."""
    torch.manual_seed(0)
    training, test = load_dataset("digits", "train"), load_dataset("digits", "test")
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for epoch in range(epochs):
        for images, labels in batches(training, 32, shuffle_seed=epoch):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
    model.eval()
    found = {}
    for tried in (ATTACKS.parse("blur:eps=0.1,strengths=8"), PGD(eps=0.1, steps=10)):
        curve = accuracy_curve(
            model, test.images(), test.labels, tried, eps_values=(0, 0.05, 0.1, 0.2)
        )
        print(ATTACKS.text(tried))
        for point in curve.points:
            print(f"  eps {point.eps:g}: {point.accuracy:.1%} correct")
        found[ATTACKS.name_of(tried) or ""] = curve.points[2].accuracy
    return found


if __name__ == "__main__":
    main()

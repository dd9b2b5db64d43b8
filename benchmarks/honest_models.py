"""Networks that hide nothing, trained in several ways: the audit should accuse none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.penalties import SquaredNormPenalty

__all__ = ["HONEST", "Divided", "Honest", "bound_loss", "network", "trained"]

_CLASSES = 10
Loss = Callable[[nn.Sequential, Tensor, Tensor, float, float], Tensor]
"""Of model, images, labels, radius and the share of the training that is done."""


def network(side: int, seed: int, *, width: int = 16) -> nn.Sequential:
    """Return a small convolutional network for grey images of a side, untrained.

    side: a multiple of 4.
    """
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * (side // 4) ** 2, 64),
        nn.ReLU(),
        nn.Linear(64, _CLASSES),
    )


def plain_loss(model: nn.Sequential, images: Tensor, labels: Tensor, _: float, __: float) -> Tensor:
    """Return the cross-entropy."""
    return cross_entropy(model(images), labels)


def attack_loss(
    model: nn.Sequential, images: Tensor, labels: Tensor, eps: float, done: float
) -> Tensor:
    """Return the cross-entropy on PGD's images, 4 steps.

    The radius grows in the first third: from the start, a network may end up constant.
    """
    attack = PGD(eps=min(1.0, 3 * done) * eps, steps=4)
    return cross_entropy(model(attack(model, images, labels)), labels)


def smoothed_loss(
    model: nn.Sequential, images: Tensor, labels: Tensor, _: float, __: float
) -> Tensor:
    """Return the cross-entropy with labels that are 10 % of every class."""
    return cross_entropy(model(images), labels, label_smoothing=0.1)


def penalised_loss(
    model: nn.Sequential, images: Tensor, labels: Tensor, eps: float, done: float
) -> Tensor:
    """Return the cross-entropy and the squared L1 penalty at wide noise, as the recipe has them.

    The strength grows in the first half.
    """
    noise = 1.5 * eps * (2 * torch.rand_like(images) - 1)
    penalty = SquaredNormPenalty(strength=min(1.0, 2 * done) * 3 * eps**2)
    return penalty(model, (images + noise).clamp(0, 1), labels).loss


def bound_loss(
    model: nn.Sequential, images: Tensor, labels: Tensor, eps: float, done: float
) -> Tensor:
    """Return the cross-entropy of the worst logits that intervals allow, and that of the images.

    The radius and the weight of the former (at most one half) grow in the first half of training.
    Source: Gowal et al. 2018 (arXiv:1810.12715), Eqs. (6), (7) and (12).
    """
    share = min(1.0, 2 * done)
    lower, upper = (images - share * eps).clamp_min(0), (images + share * eps).clamp_max(1)
    centre, radius = (upper + lower) / 2, (upper - lower) / 2
    for layer in model:
        centre, radius = _interval(layer, centre, radius)
    is_label = functional.one_hot(labels, centre.shape[1]).bool()
    worst = torch.where(is_label, centre - radius, centre + radius)
    weight = share / 2
    return (1 - weight) * cross_entropy(model(images), labels) + weight * cross_entropy(
        worst, labels
    )


def _interval(layer: nn.Module, centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    match layer:
        case nn.Linear():
            return layer(centre), functional.linear(radius, layer.weight.abs())
        case nn.Conv2d():
            spread = functional.conv2d(
                radius, layer.weight.abs(), None, layer.stride, layer.padding
            )
            return layer(centre), spread
        case nn.ReLU() | nn.Flatten():
            lower, upper = layer(centre - radius), layer(centre + radius)
            return (upper + lower) / 2, (upper - lower) / 2
    raise TypeError(f"no interval is known of {type(layer).__name__}")


def trained(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    eps: float,
    epochs: int,
    batch_size: int = 64,
) -> nn.Sequential:
    """Train a network, with torch's global generator, and return it in eval mode."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    steps = epochs * -(-len(images) // batch_size)
    step = 0
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(batch_size):  # type: ignore[no-untyped-call] # torch leaves it untyped
            for group in optimizer.param_groups:  # the last third with a falling rate
                group["lr"] = 2e-3 * min(1.0, 3 * (1 - step / steps))
            optimizer.zero_grad()
            loss(model, images[batch], labels[batch], eps, step / steps).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            step += 1
    model.zero_grad(set_to_none=True)
    return model.eval()


class Divided(nn.Module):
    """Logits divided by ten: the same decisions, a tenth of the confidence."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the small logits."""
        logits: Tensor = self.model(images) / 10
        return logits


class _LogProbabilities(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits.log_softmax(dim=1)


@dataclass(frozen=True)
class Honest:
    """A way to train a network without hiding anything.

    radius: to train for and to be judged at, in parts of the data set's.
    longer: how many times as many epochs it takes.
    finish: what is put around the trained network.
    """

    loss: Loss
    radius: float = 1.0
    longer: int = 1
    finish: Callable[[nn.Module], nn.Module] = lambda model: model


HONEST: Mapping[str, Honest] = {
    "plain": Honest(plain_loss),
    "attack-trained": Honest(attack_loss),
    "label-smoothed": Honest(smoothed_loss),
    "wide noise, penalised": Honest(penalised_loss, longer=2),
    "small logits, attack-trained": Honest(attack_loss, finish=Divided),
    "log-probabilities, attack-trained": Honest(attack_loss, finish=_LogProbabilities),
    "provably robust": Honest(bound_loss, radius=0.5, longer=3),
}

"""Gradient attacks as loops over images, pixels and classes, written from the papers' equations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
N, PIXELS, HIDDEN, CLASSES = 6, 9, 5, 6
RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(size=(HIDDEN, PIXELS))
SECOND = RANDOM.normal(size=(CLASSES, HIDDEN))
IMAGES = RANDOM.uniform(size=(N, PIXELS))
LABELS = RANDOM.integers(CLASSES, size=N)


def network(images: Tensor) -> Tensor:
    """Logits ``W2 tanh(W1 x)``."""
    return (images.flatten(1) @ torch.from_numpy(FIRST).T).tanh() @ torch.from_numpy(SECOND).T


def as_images(rows: Array | Sequence[Array]) -> Tensor:
    return torch.from_numpy(np.array(rows)).reshape(len(rows), 1, 3, 3)


def slow_logits(image: Array) -> list[float]:
    hidden = [math.tanh(float(FIRST[j] @ image)) for j in range(HIDDEN)]
    return [sum(SECOND[k, j] * hidden[j] for j in range(HIDDEN)) for k in range(CLASSES)]


def slow_loss(logits: Sequence[float], loss: str, label: int, target: int | None) -> float:
    """What the attack raises, from the definition of each loss."""
    if loss == "cross-entropy":
        aim = label if target is None else target
        value = math.log(sum(math.exp(z) for z in logits)) - logits[aim]
        return value if target is None else -value
    if loss == "margin":
        aim = label if target is None else target
        margin = max(z for k, z in enumerate(logits) if k != aim) - logits[aim]
        return margin if target is None else -margin
    falling = sorted(logits, reverse=True)
    if target is None:
        margin = max(z for k, z in enumerate(logits) if k != label) - logits[label]
        return margin / (falling[0] - falling[2])
    return (logits[target] - logits[label]) / (falling[0] - (falling[2] + falling[3]) / 2)


def slow_slope(logits: Sequence[float], loss: str, label: int, target: int | None) -> list[float]:
    """dJ/dz, one class at a time, by the central difference of ``slow_loss``."""
    step = 1e-5
    slope = []
    for k in range(len(logits)):
        up, down = list(logits), list(logits)
        up[k] += step
        down[k] -= step
        rise = slow_loss(up, loss, label, target) - slow_loss(down, loss, label, target)
        slope.append(rise / (2 * step))
    return slope


def slow_gradient(image: Array, loss: str, label: int, target: int | None = None) -> Array:
    """``W1' diag(1 - h^2) W2' dJ/dz``, entry by entry."""
    hidden = [math.tanh(float(FIRST[j] @ image)) for j in range(HIDDEN)]
    slope = slow_slope(slow_logits(image), loss, label, target)
    gradient = np.zeros(PIXELS)
    for i in range(PIXELS):
        for j in range(HIDDEN):
            back = sum(SECOND[k, j] * slope[k] for k in range(CLASSES))
            gradient[i] += FIRST[j, i] * (1 - hidden[j] ** 2) * back
    return gradient


@dataclass(frozen=True)
class SlowClimb:
    """``steps`` steps of an iterative attack; ``decay`` None is PGD, else MIM."""

    eps: float
    steps: int
    step_size: float
    norm: str = "linf"
    loss: str = "cross-entropy"
    decay: float | None = None

    def __call__(self, image: Array, start: Array, label: int, target: int | None = None) -> Array:
        x, velocity = start.copy(), np.zeros(PIXELS)
        for _ in range(self.steps):
            gradient = slow_gradient(x, self.loss, label, target)
            if self.decay is None:
                velocity = gradient
            else:
                total = sum(abs(float(entry)) for entry in gradient)
                velocity = self.decay * velocity + gradient / total
            x = self._project(image, x + self.step_size * self._direction(velocity))
        return x

    def _direction(self, velocity: Array) -> Array:
        if self.norm == "l2":
            return velocity / math.sqrt(sum(float(entry) ** 2 for entry in velocity))
        return np.array([int(entry > 0) - int(entry < 0) for entry in velocity], dtype=float)

    def _project(self, image: Array, moved: Array) -> Array:
        change = moved - image
        if self.norm == "l2":
            length = math.sqrt(sum(float(entry) ** 2 for entry in change))
            change = change * min(1.0, self.eps / length)
        else:
            change = np.array([min(max(float(entry), -self.eps), self.eps) for entry in change])
        return np.array([min(max(float(entry), 0.0), 1.0) for entry in image + change])


@dataclass(frozen=True)
class SlowAutoPGD:
    """Algorithm 1 of Croce & Hein 2020, away from the label, from the image itself."""

    eps: float
    steps: int
    norm: str = "linf"
    loss: str = "dlr"

    def __call__(self, image: Array, label: int) -> tuple[Array, int]:
        """Return the first point of another class, else that of highest loss; and the halvings."""
        ball = SlowClimb(eps=self.eps, steps=1, step_size=1.0, norm=self.norm)
        size, looks, halvings = 2 * self.eps, self._looks(), 0
        here, before, best = image, image, image
        value = highest = self._value(image, label)
        if slow_class(image) != label:
            return image, 0
        rises: list[bool] = []  # f(x_k+1) > f(x_k), one a step
        highest_at, size_at = [highest], [2 * size]  # none can have stood still before the start
        for k in range(1, self.steps + 1):
            z = ball._project(
                image, here + size * ball._direction(slow_gradient(here, self.loss, label))
            )
            alpha = 0.75 if k > 1 else 1.0
            new = ball._project(image, here + alpha * (z - here) + (1 - alpha) * (here - before))
            before, here = here, new
            if slow_class(here) != label:
                return here, halvings
            new_value = self._value(here, label)
            rises.append(new_value > value)
            value = new_value
            if value > highest:
                best, highest = here, value
            if k in looks:
                period = rises[looks[looks.index(k) - 1] :]
                few_rises = sum(period) < 0.75 * len(period)
                stood_still = size_at[-1] == size and highest_at[-1] == highest
                size_at.append(size)
                highest_at.append(highest)
                if few_rises or stood_still:
                    size, here, value, halvings = size / 2, best, highest, halvings + 1
        return best, halvings

    def _value(self, image: Array, label: int) -> float:
        return slow_loss(slow_logits(image), self.loss, label, None)

    def _looks(self) -> list[int]:
        shares = [0.0, 0.22]
        while shares[-1] <= 1:
            shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
        return [math.ceil(share * self.steps - 1e-9) for share in shares if share <= 1 + 1e-9]


def slow_class(image: Array) -> int:
    logits = slow_logits(image)
    return max(range(CLASSES), key=lambda k: logits[k])

"""NES: PGD whose gradient is estimated from outputs alone, by natural evolution strategies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks.ball import PerturbationBall
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.losses import LOSSES, Loss, check_classes
from steadygrad.attacks.part import attack
from steadygrad.checks import (
    check_eps,
    check_finite_losses,
    check_images,
    check_labels,
    check_logits,
)
from steadygrad.draws import integers
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.model_answer import answer

__all__ = ["NES", "NESLoss", "antithetic_gradient"]

NESLoss: TypeAlias = Loss | Literal["logit", "probability"]

Objective: TypeAlias = Callable[[Images, Tensor], Tensor]
"""Points (m, channels, height, width) and the example each belongs to, int64 (m,), to (m,)."""

REACH = 1.85
"""How many eps the steps add up to by default, as in PGD."""


@attack("nes", title="NES", family="query")
@dataclass(frozen=True, kw_only=True)
class NES:
    """Repeat ``x <- project(x + step_size * sign(g))``, ``g`` estimated from ``2 n`` queries.

    ``g = sum_i (J(x + sigma u_i) - J(x - sigma u_i)) u_i / (2 sigma n)`` with ``u_i ~ N(0, 1)`` in
    every pixel: without bias the gradient of J, blurred by a Gaussian of width sigma. The model is
    never differentiated; any callable will do.

    eps: largest change of any pixel, in [0, 1]; HyperparameterError otherwise.
    queries: how often the model is asked about an image, exactly (with ``stop_early``, of images
        that break, less often). They share out evenly to the steps, a pair left over to each of
        the first. At least 2 a step, or 3 with ``stop_early``, and a number that makes pairs.
    steps: at least 1.
    sigma: positive, in pixel units. Queries may leave [0, 1] by a few sigma, as published.
    step_size: positive, in pixel units; None takes ``1.85 * eps / steps``.
    random_start: begin at ``x + U(-eps, eps)`` clipped to [0, 1]; False begins at ``x``.
    stop_early: spend one query before each step on whether the image is broken; one that is stays
        as it is and costs no more. False goes on to the end, as published.
    loss: J. "cross-entropy", "margin" or "dlr" as in PGD; "logit", minus that of the true class, is
        what the code of Yeats et al. climbs, and weaker; "probability", minus its softmax, is
        what Ilyas et al. climb. UnknownNameError otherwise.
    samples_per_batch: images sent through the model at once, at least 2: it bounds the memory,
        however many the queries and the images, and changes results by rounding alone.
    Source: Ilyas, Engstrom, Athalye & Lin, ICML 2018 (arXiv:1804.08598), section 2.2; settings of
        Yeats, Chen & Li, ICML 2021, "Robustness to Black-Box Query-based Attacks", and its code.

    J is computed in float64 from the model's logits: differences of a confident network's
    cross-entropy do not round to 0. Each example draws from a stream of its own, so that what it
    gets depends on its place in the batch and not on which of its neighbours broke.
    """

    eps: float
    queries: int = 4000
    steps: int = 8
    sigma: float = 0.001
    step_size: float | None = None
    random_start: bool = True
    stop_early: bool = False
    loss: NESLoss = "cross-entropy"
    samples_per_batch: int = 256

    def __post_init__(self) -> None:
        check_eps(self.eps)
        for name, least in (("steps", 1), ("samples_per_batch", 2)):
            if getattr(self, name) < least:
                raise HyperparameterError(f"expected {name} >= {least}, got {getattr(self, name)}")
        self._check_queries()
        if not 0 < self.sigma <= 1:
            raise HyperparameterError(f"expected sigma in (0, 1], got {self.sigma}")
        if self.step_size is not None and not 0 < self.step_size <= 1:
            raise HyperparameterError(f"expected step_size in (0, 1], got {self.step_size}")
        if self.loss not in (*LOSSES, *_OUTPUTS):
            names = ", ".join((*LOSSES, *_OUTPUTS))
            raise UnknownNameError(f"expected loss one of {names}, got {self.loss!r}")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        with torch.no_grad():
            return self._climb(model, images, labels, generator)

    @property
    def pairs(self) -> tuple[int, ...]:
        """Number of antithetic pairs in each step."""
        each, left_over = divmod((self.queries - self._checks) // 2, self.steps)
        return tuple(each + (step < left_over) for step in range(self.steps))

    @property
    def _checks(self) -> int:
        """Queries for one image that test whether the attack has succeeded."""
        return self.steps if self.stop_early else 0

    def _check_queries(self) -> None:
        least = 2 * self.steps + self._checks
        if self.queries < least:
            raise HyperparameterError(
                f"expected queries >= {least} for {self.steps} steps, got {self.queries}"
            )
        if (self.queries - self._checks) % 2:
            other = (
                f" besides {self._checks} that test whether the attack has succeeded"
                if self._checks
                else ""
            )
            raise HyperparameterError(f"expected queries in pairs{other}, got {self.queries}")

    def _climb(
        self, model: Classifier, images: Images, labels: Labels, generator: torch.Generator | None
    ) -> Images:
        ball = PerturbationBall(images, self.eps)
        adversarial = ball.draw_uniform(generator) if self.random_start else ball.images.clone()
        streams = _streams(len(images), generator, images.device)
        step_size = REACH * self.eps / self.steps if self.step_size is None else self.step_size
        rows = torch.arange(len(images), device=images.device)
        for pairs in self.pairs:
            if self.stop_early:
                rows = rows[self._holds(model, adversarial[rows], labels[rows])]
                if len(rows) == 0:
                    break
            gradient = antithetic_gradient(
                self._objective(model, labels[rows]),
                adversarial[rows],
                [streams[row] for row in rows.tolist()],
                pairs=pairs,
                sigma=self.sigma,
                samples_per_batch=self.samples_per_batch,
            )
            # sign(NaN) is 0: it would otherwise end as a weak attack.
            check_finite_losses(gradient.flatten(start_dim=1).sum(dim=1))
            moved = torch.add(adversarial[rows], gradient.sign().to(images.dtype), alpha=step_size)
            adversarial[rows] = ball.at(rows).project(moved)
        return adversarial

    def _holds(self, model: Classifier, images: Images, labels: Labels) -> Tensor:
        """Return which images are still classified as labelled, bool (batch,)."""
        holds = []
        for rows in torch.arange(len(images), device="cpu").split(self.samples_per_batch):  # type: ignore[no-untyped-call] # torch leaves it untyped
            values, is_broken = Goal(labels[rows]).judge(model, images[rows])
            check_finite_losses(values)
            holds.append(~is_broken)
        return torch.cat(holds)

    def _objective(self, model: Classifier, labels: Labels) -> Objective:
        highest = int(labels.max())

        def objective(points: Images, owners: Tensor) -> Tensor:
            logits = answer(model, points)
            check_logits(logits, len(points))
            if highest >= (classes := logits.shape[1]):
                check_labels(labels, len(labels), classes)
            if self.loss in _OUTPUTS:
                return -_OUTPUTS[self.loss](logits.double(), labels[owners])
            check_classes(self.loss, classes, is_targeted=False)
            return LOSSES[self.loss].away(logits.double(), labels[owners])

        return objective


@torch.no_grad()
def antithetic_gradient(
    objective: Objective,
    images: Images,
    streams: Sequence[torch.Generator],
    *,
    pairs: int,
    sigma: float,
    samples_per_batch: int,
) -> Tensor:
    """Return NES' estimate of ``grad J`` at each image, shaped like them, float32 or wider.

    ``sum_i (J(x + sigma u_i) - J(x - sigma u_i)) u_i / (2 sigma pairs)``, ``u_i ~ N(0, 1)``.
    objective: J of points and of the images that each belongs to, see ``Objective``.
    streams: one generator an image, all on one device; each gives ``pairs`` draws, one after the
        other, whatever the batches.
    samples_per_batch: points that J is asked for at once, at most; at least 2.
    """
    wide = torch.promote_types(images.dtype, torch.float32)
    total = torch.zeros(images.shape, dtype=wide, device=images.device)
    for rows, count in _batches(len(images), pairs, samples_per_batch // 2):
        centres = images[rows].unsqueeze(1)
        noise = _draws(streams[rows], count, centres)
        points = torch.stack((centres + sigma * noise, centres - sigma * noise), dim=1)
        owners = torch.arange(rows.start, rows.stop, device=images.device)
        values = objective(points.flatten(0, 2), owners.repeat_interleave(2 * count))
        above, below = values.view(len(centres), 2, count).unbind(dim=1)
        weights = ((above - below) / (2 * sigma * pairs)).to(wide)
        total[rows] += torch.einsum("ep,epchw->echw", weights, noise.to(wide))
    return total


def _batches(examples: int, pairs: int, capacity: int) -> Iterator[tuple[slice, int]]:
    """Yield examples and a number of pairs for each, never more than ``capacity`` together.

    Either several examples with all their pairs, or one with an even part of them.
    """
    together = max(1, capacity // pairs)
    parts = -(-pairs // capacity)
    for first in range(0, examples, together):
        for part in range(parts):
            count = pairs // parts + (part < pairs % parts)
            yield slice(first, min(first + together, examples)), count


def _draws(streams: Sequence[torch.Generator], count: int, centres: Tensor) -> Tensor:
    """Return ``count`` draws of N(0, 1) for each image, (examples, count, ...).

    One draw at a time: how a generator fills a larger tensor depends on the tensor's size.
    """
    noise = torch.empty(
        (len(streams), count, *centres.shape[2:]), dtype=centres.dtype, device=streams[0].device
    )
    for own, stream in zip(noise, streams, strict=True):
        for draw in own:
            draw.normal_(generator=stream)
    return noise.to(centres.device)


def _streams(
    examples: int, generator: torch.Generator | None, device: torch.device
) -> list[torch.Generator]:
    """Return a generator for each example, on the device of ``generator`` (None: ``device``)."""
    place = device if generator is None else generator.device
    seeds = integers(0, 2**63 - 1, (examples,), generator, device=place)
    return [torch.Generator(place).manual_seed(seed) for seed in seeds.tolist()]


def _logit(logits: Logits, labels: Labels) -> Tensor:
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def _probability(logits: Logits, labels: Labels) -> Tensor:
    return _logit(logits.softmax(dim=1), labels)


_OUTPUTS: Mapping[str, Callable[[Logits, Labels], Tensor]] = {
    "logit": _logit,
    "probability": _probability,
}

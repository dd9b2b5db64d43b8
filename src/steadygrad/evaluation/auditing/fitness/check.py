"""Is this model fit to be audited on these images? Every problem at once."""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.auditing.fitness.gradients import (
    complex_layers_fact,
    exactness,
    gradient_problems,
)
from steadygrad.evaluation.auditing.fitness.outputs import (
    CONSTANT,
    class_problems,
    is_constant_output,
    mode_problems,
    neighbour_problems,
    output_of,
    randomness_problems,
    value_problems,
)
from steadygrad.evaluation.auditing.fitness.predictions import prediction_problems
from steadygrad.evaluation.auditing.fitness.problem import Problem, data_problems, is_readable
from steadygrad.evaluation.image_rows import AnyImages
from steadygrad.evaluation_mode import evaluation_mode

__all__ = ["LOOKED_AT_ONCE", "Fitness", "check_fitness", "spread_rows"]

_LOOKED_AT, _DIFFERENTIATED = 256, 8
"""Images that predictions are checked on, and those of them that gradients are checked on."""


LOOKED_AT_ONCE = 64
"""Images of a batch, unless memory is too small."""


@dataclass(frozen=True)
class Fitness:
    """What a look before the audit has found; facts are what was found to be in order."""

    problems: tuple[Problem, ...]
    facts: tuple[str, ...]

    @property
    def is_fit(self) -> bool:
        """Whether an audit may go on."""
        return self.is_fit_accepting(())

    def is_fit_accepting(self, names: Collection[str]) -> bool:
        """Whether an audit may go on if the problems of these names are accepted."""
        return not any(problem.is_fatal and problem.name not in names for problem in self.problems)


def check_fitness(
    model: Classifier,
    images: AnyImages,
    labels: Labels,
    *,
    classes: int | None = None,
    batch_size: int = LOOKED_AT_ONCE,
    device: torch.device | str | None = None,
) -> Fitness:
    """Look for everything that would make an audit's numbers wrong; refuse nothing.

    Up to 256 of the images, evenly spread, go through the model a few times in eval mode, 8 of
    them backwards. The model, its mode and torch's random state are left as they are.

    classes: of the data set, where that is known.
    device: where batches are sent; None takes the model's.
    """
    problems = data_problems(images, labels)
    has_labels = all(problem.name != "labels" for problem in problems)
    problems += mode_problems(model)
    if not is_readable(images):
        return Fitness(tuple(problems), ())
    device = model_device(model, images, device)
    rows = spread_rows(len(images), _LOOKED_AT)
    chosen = images[rows.to(images.device)].to(device)
    expected = labels[rows.to(labels.device)].to(device) if has_labels else None
    with evaluation_mode(model), torch.random.fork_rng(devices=_cuda(chosen)):
        torch.manual_seed(0)
        found, facts = _model_problems(model, chosen, expected, classes, batch_size)
    return Fitness((*problems, *found), tuple(facts))


def spread_rows(n: int, wanted: int) -> torch.Tensor:
    """Return ``wanted`` of the indices below ``n``, evenly spread, or all; int64, ascending."""
    return (
        torch.arange(n, device="cpu")
        if n <= wanted
        else torch.arange(wanted, device="cpu") * n // wanted
    )


def _model_problems(
    model: Classifier,
    images: Images,
    labels: Labels | None,
    classes: int | None,
    batch_size: int,
) -> tuple[list[Problem], list[str]]:
    outputs = [output_of(model, batch) for batch in torch.split(images, batch_size)]
    for output in outputs:
        if isinstance(output, Problem):
            return [output], []
    logits = torch.cat([output for output in outputs if isinstance(output, torch.Tensor)])
    first, few = images[:batch_size], images[:_DIFFERENTIATED]
    problems = list(value_problems(logits))
    is_finite = all(problem.name != "non-finite" for problem in problems)
    if labels is not None:
        problems += class_problems(logits, labels, classes)
        if is_finite:
            predictions = logits.argmax(dim=1)
            problems += prediction_problems(model, images, labels, predictions, batch_size)
    random = list(randomness_problems(model, first, logits[: len(first)])) if is_finite else []
    problems += random
    facts, neighbours = [], []
    if is_finite and not random:
        neighbours = list(neighbour_problems(model, first, logits[: len(first)]))
        facts.append("a second pass over the same images gives the same outputs")
    problems += neighbours
    is_constant = is_finite and not random and is_constant_output(model, images, logits)
    if is_constant:
        problems.append(CONSTANT)
    gradient = [] if is_constant else list(gradient_problems(model, few))
    problems += gradient
    if not (gradient or random or neighbours or is_constant):
        inexact, exact = exactness(model, few)
        problems += inexact
        facts += exact
    return problems, facts + complex_layers_fact(model)


def _cuda(images: Images) -> list[torch.device]:
    return [images.device] if images.device.type == "cuda" else []

"""What the clean accuracy betrays: images of another scale, labels that mean something else."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.evaluation.auditing.fitness.outputs import output_of
from steadygrad.evaluation.auditing.fitness.problem import Problem
from steadygrad.evaluation.statistics import wilson_interval

__all__ = ["prediction_problems"]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_TELLING = 0.05
"""By how much another reading of images must raise accuracy before it is worth a word."""
_BEYOND_CHANCE = 2.0
"""Standard errors by which agreement must exceed that of shuffled predictions."""
_MOST = 0.6
"""Share of predictions that a renaming of classes must explain to be believed."""


def prediction_problems(
    model: Classifier, images: Images, labels: Labels, predictions: Labels, batch_size: int
) -> Iterator[Problem]:
    """Yield why the model may be right less often than it could be on these images and labels.

    predictions: the classes it gives the images as they are, int64 (n,), on the labels' device.
    """
    right, n = int((predictions == labels).sum()), len(labels)
    _, high = wilson_interval(right, n)
    accuracy, is_at_chance = f"{100 * right / n:.0f} %", _is_at_chance(predictions, labels)
    frequencies = torch.bincount(labels).double() / n
    classes = int((frequencies > 0).sum())
    reading, better = _best_reading(model, images, labels, batch_size) if high < 1 else ("", 0)
    renaming, agreeing = _renaming(predictions, labels)
    better_low, _ = wilson_interval(better, n)
    if better_low > high and (better - right) / n >= _TELLING and better > agreeing * n:
        yield Problem(
            "input-range",
            f"of {n} images as they are {accuracy} are classified rightly, of the images {reading} "
            f"{100 * better / n:.0f} %",
            "put that change of scale inside the model, so that it takes pixels in [0, 1]",
            is_fatal=is_at_chance,
        )
    elif is_at_chance and agreeing >= _MOST and agreeing * n > right:
        yield Problem(
            "labels-do-not-match",
            f"only {accuracy} of {n} images are classified correctly, but "
            f"{100 * agreeing:.0f} % after renaming the classes: {renaming}",
            "put labels and outputs into the same order of classes",
            is_fatal=True,
        )
    elif is_at_chance and _is_below_chance(predictions, right, high, classes):
        yield Problem(
            "labels-do-not-match",
            f"accuracy on {n} clean images is {accuracy}, below chance",
            "check that labels and outputs are in the same order of classes, and that images and "
            "labels are of the same examples",
            is_fatal=True,
        )
    elif is_at_chance and classes > 1:
        yield Problem(
            "at-chance",
            f"accuracy on {n} clean images is {accuracy}, no better than predictions that do "
            f"not depend on the images (always naming the most frequent class gives "
            f"{100 * frequencies.max().item():.0f} %)",
            "check the weights, and that images and labels are of the same examples",
            is_fatal=False,
        )


def _is_at_chance(predictions: Labels, labels: Labels) -> bool:
    """Tell whether the predictions agree with the labels no better than when shuffled.

    Accuracy alone cannot say so where classes are uneven: always naming a class that 95 % of the
    images are of is 95 % right and knows nothing, while finding half of the others is far beyond
    chance at 97 %. Labels of one class leave nothing to shuffle: then more than half must be right.

    Source: Cohen, Educational and Psychological Measurement 20 (1960), 37-46, the agreement that
        chance explains; its standard error without association: Fleiss, Cohen & Everitt,
        Psychological Bulletin 72 (1969), 323-327.
    """
    n, observed = len(labels), (predictions == labels).double().mean().item()
    if n == 0 or len(torch.unique(labels)) < 2:
        return observed <= 0.5
    classes = int(max(predictions.max(), labels.max())) + 1
    ours = torch.bincount(predictions, minlength=classes).double() / n
    theirs = torch.bincount(labels, minlength=classes).double() / n
    expected = (ours @ theirs).item()
    spread = expected + expected**2 - (ours * theirs * (ours + theirs)).sum().item()
    return observed - expected <= _BEYOND_CHANCE * math.sqrt(max(spread, 0.0) / n)


def _is_below_chance(predictions: Labels, right: int, high: float, classes: int) -> bool:
    """Tell whether predictions are right less often than guesses among the labels' classes.

    One prediction for all images is no sign of misnamed classes unless it is never right.
    """
    names_one = len(torch.unique(predictions)) == 1
    return classes > 1 and high < 1 / classes and (right == 0 or not names_one)


def _readings(images: Images) -> Iterator[tuple[str, Callable[[Images], Images]]]:
    """Yield the scales on which models are commonly trained, by name."""
    yield "times 255", lambda x: 255 * x
    yield "scaled to [-1, 1] (2 x - 1)", lambda x: 2 * x - 1
    yield "inverted (1 - x)", lambda x: 1 - x
    deviation, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True)
    deviation = deviation.clamp_min(1e-6)
    yield "standardised by their own mean and deviation", lambda x: (x - mean) / deviation
    if images.shape[1] == 3:
        centre, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in _IMAGENET)
        yield "standardised by ImageNet's mean and deviation", lambda x: (x - centre) / scale
        yield "with channels reversed (BGR)", lambda x: x.flip(1)


def _best_reading(
    model: Classifier, images: Images, labels: Labels, batch_size: int
) -> tuple[str, int]:
    """Return the reading under which most images are right, and how many are."""
    found = [
        (_right(model, reading(images), labels, batch_size), name)
        for name, reading in _readings(images)
    ]
    right, name = max(found)
    return name, right


def _right(model: Classifier, images: Images, labels: Labels, batch_size: int) -> int:
    """Return how many images are right; 0 if that is no more than chance."""
    predicted = []
    for batch in torch.split(images, batch_size):
        logits = output_of(model, batch)
        if not isinstance(logits, Tensor):
            return 0
        predicted.append(logits.argmax(dim=1))
    predictions = torch.cat(predicted)
    if _is_at_chance(predictions, labels):
        return 0
    return int((predictions == labels).sum())


def _renaming(predictions: Labels, labels: Labels) -> tuple[str, float]:
    """Return a renaming of classes, and the share of predictions that are right under it.

    On every other example, each predicted class gets the label it most often goes with; unless
    that is one-to-one and moves a class it is no renaming. The share is that of the examples
    between, where it must be beyond chance.
    """
    classes = int(max(predictions.max(), labels.max())) + 1
    counts = torch.bincount(predictions[::2] * classes + labels[::2], minlength=classes**2)
    counts = counts.view(classes, classes)
    predicted = counts.sum(dim=1).nonzero().squeeze(1)
    named = counts[predicted].argmax(dim=1)
    if not len(torch.unique(named)) == len(named) > 1 or len(labels) < 2:
        return "", 0.0
    names = torch.full((classes,), -1, device=labels.device)
    names[predicted] = named
    pairs = zip(predicted.tolist(), named.tolist(), strict=True)
    moved = [f"output {ours} is label {theirs}" for ours, theirs in pairs if ours != theirs]
    text = ", ".join(moved[:3]) + (", ..." if len(moved) > 3 else "")
    renamed, expected = names[predictions[1::2]], labels[1::2]
    is_known = renamed >= 0  # a class that the first half never predicted has no other name
    if not moved or not is_known.any() or _is_at_chance(renamed[is_known], expected[is_known]):
        return "", 0.0
    return text, (renamed == expected).double().mean().item()

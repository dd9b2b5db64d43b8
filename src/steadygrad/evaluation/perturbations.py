"""What an attack adds to each of many images, batch by batch."""

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import FGSM, PGD, DeepFool, Goal
from steadygrad.checks import check_finite_losses, check_images, check_labels
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.penalties.perturbation_source import PerturbingAttack, SourceName
from steadygrad.seeds import derived_generator

__all__ = ["PerturbationSource", "perturbation_batches", "perturbation_source"]

PerturbationSource: TypeAlias = PerturbingAttack | Literal["gradient"]
"""An attack, whose perturbation is what it adds; or the loss's input gradient itself."""

EPS, STEPS, DEEPFOOL_STEPS = 8 / 255, 10, 100


def perturbation_source(
    name: str, *, eps: float | None = None, steps: int | None = None
) -> PerturbationSource:
    """Return the source of that name, with the settings of the paper's Table 2.

    name: "pgd": steps of ``2 * eps / steps`` (a fifth of eps at 10), no random start, which would
        add white noise of its own to the perturbations; "fgsm"; "gradient", the cross-entropy's
        own; "deepfool".
    eps: radius of pgd and fgsm, above 0, None takes 8/255; steps: of pgd (10) and deepfool (100).
    Raises: UnknownNameError, listing the names; HyperparameterError, for a setting that the source
        lacks or refuses.
    Source: Roth et al., arXiv:1805.08736, sections 4.1, 4.2 and 7.2.
    """
    if name not in get_args(SourceName):
        raise UnknownNameError(
            f"expected attack one of {', '.join(get_args(SourceName))}, got {name!r}"
        )
    for setting, value, users in (
        ("eps", eps, ("fgsm", "pgd")),
        ("steps", steps, ("pgd", "deepfool")),
    ):
        if value is not None and name not in users:
            raise HyperparameterError(
                f"{setting} {value:g} has no effect with {name}; leave it out, or choose "
                f"{' or '.join(users)}"
            )
    match cast("SourceName", name):
        case "gradient":
            return "gradient"
        case "deepfool":
            return DeepFool(steps=DEEPFOOL_STEPS if steps is None else steps)
        case "fgsm":
            return FGSM(eps=_radius(eps))
        case "pgd":
            radius, steps = _radius(eps), STEPS if steps is None else steps
            step_size = min(1.0, 2 * radius / max(1, steps))
            return PGD(eps=radius, steps=steps, step_size=step_size, random_start=False)


def perturbation_batches(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    *,
    batch_size: int = 250,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tensor]:
    """Yield the perturbations of ``batch_size`` images at a time, in order; model in eval mode.

    labels: what to lead away from: the true classes, or the model's own predictions, which the
        paper takes.
    seed: of an attack's random draws; each batch has its own.
    device: where batches are sent; None takes the model's. progress: hears (done, total) images.
    Raises: ImageError, LabelError, ModelError; HyperparameterError, if batch_size is below 1.
    """
    check_images(images)
    check_labels(labels, len(images))
    if batch_size < 1:
        raise HyperparameterError(f"expected batch_size >= 1, got {batch_size}")
    device = model_device(model, images) if device is None else device
    return _batches(model, images, labels, source, batch_size, seed, device, progress)


def _batches(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    batch_size: int,
    seed: int,
    device: torch.device | str,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Tensor]:
    # A function of its own, so that the checks above run at the call and not at the first batch.
    parts = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    for number, (batch, classes) in enumerate(parts):
        batch, classes = batch.to(device), classes.to(device)
        generator = derived_generator(seed, f"perturbations, batch {number}")
        # Not around the loop: between two batches the model is the caller's.
        with evaluation_mode(model):
            added = _added(model, batch, classes, source, generator)
        if progress is not None:
            progress(min((number + 1) * batch_size, len(images)), len(images))
        yield added


def _added(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    generator: torch.Generator,
) -> Tensor:
    if isinstance(source, str):
        losses, gradient = Goal(labels).ascent(model, images)
        check_finite_losses(losses)
        return gradient
    return source(model, images, labels, generator=generator) - images


def _radius(eps: float | None) -> float:
    if eps == 0:
        raise HyperparameterError("expected eps > 0 for perturbations that are not all zero, got 0")
    return EPS if eps is None else eps

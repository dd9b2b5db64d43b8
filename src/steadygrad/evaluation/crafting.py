"""Making adversarial examples of one model, to be tried on others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import (
    Attack,
    LongRangeCorrelated,
    WhiteNoise,
    describe_attack,
    norm_of,
)
from steadygrad.checks import check_images, check_labels
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.adversarial_examples import AdversarialExamples
from steadygrad.evaluation.example_store import ExampleStore
from steadygrad.evaluation.model_digest import structure_digest, tensors_digest, weights_digest
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = ["craft_adversarial_examples"]


def craft_adversarial_examples(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    *,
    source: str,
    dataset: str = "",
    split: str = "",
    indices: torch.Tensor | None = None,
    batch_size: int = 256,
    seed: int = 0,
    device: torch.device | str | None = None,
    store: ExampleStore | None = None,
    progress: Callable[[int], None] | None = None,
) -> AdversarialExamples:
    """Attack every image, right or wrong without attack, the model in eval mode; on the CPU.

    images: (n, channels, height, width) in [0, 1]; labels int64 (n,).
    source: what to call the model. dataset, split, indices: where the images are from and their
        places in it; by default the first n.
    batch_size: images attacked together, at least 1; HyperparameterError otherwise.
    seed: every batch gets a CPU generator that depends on (seed, eps, number of the batch) alone,
        so that all sources get the same draws.
    device: where batches are sent; None takes the model's.
    store: where examples made before with the same settings are found, and new ones kept; only of
        a module, whose weights tell it apart. None makes them anew.
    progress: called with the number of images just attacked, or found.

    Raises: ImageError, LabelError, ModelError, HyperparameterError.
    """
    check_images(images)
    check_labels(labels, len(images))
    if batch_size < 1:
        raise HyperparameterError(f"expected batch_size >= 1, got {batch_size}")
    decisive: dict[str, Any] = {
        "attack": describe_attack(attack),
        "eps": attack.eps,
        "source_digest": weights_digest(model),
        "source_structure": structure_digest(model) if isinstance(model, nn.Module) else None,
        "clean_digest": tensors_digest({"images": images, "labels": labels}),
        "seed": seed,
        "batch_size": batch_size,
    }
    if decisive["source_digest"] is None:
        store = None
    report = progress or (lambda _: None)
    if store is not None and (found := store.find(decisive)) is not None:
        report(len(found))
        return found
    # Of Gaussian noise eps is a standard deviation: no ball holds it.
    is_gaussian = isinstance(attack, LongRangeCorrelated | WhiteNoise)
    examples = AdversarialExamples(
        images=_attacked(model, images, labels, attack, batch_size, seed, device, report),
        labels=labels.cpu(),
        indices=torch.arange(len(images)) if indices is None else indices.cpu(),
        norm=None if is_gaussian else norm_of(attack),
        source=source,
        dataset=dataset,
        split=split,
        **decisive,
    )
    if store is not None:
        store.keep(examples)
    return examples


def _attacked(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    batch_size: int,
    seed: int,
    device: torch.device | str | None,
    report: Callable[[int], None],
) -> Images:
    place = model_device(model, images) if device is None else torch.device(device)
    made = []
    with evaluation_mode(model):
        for number, first in enumerate(range(0, len(images), batch_size)):
            rows = slice(first, first + batch_size)
            generator = derived_generator(seed, f"craft, eps {attack.eps!r}, batch {number}")
            batch = images[rows].to(place), labels[rows].to(place)
            made.append(attack(model, *batch, generator=generator).cpu())
            report(len(made[-1]))
    return torch.cat(made)

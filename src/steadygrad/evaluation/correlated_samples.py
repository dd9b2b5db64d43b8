"""Images under correlated noise of several decay lengths, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import LongRangeCorrelated
from steadygrad.checks import check_images, check_labels
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import model_device, predictions
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = ["CorrelatedSamples", "correlated_samples"]


@dataclass(frozen=True, eq=False)
class CorrelatedSamples:
    """Columns of an image each, before and after noise of that column's decay length; on the CPU.

    eps: standard deviation of the noise, pixel units; samples: draws of which the worst is shown.
    decay_lengths: in pixels, one a column, ascending.
    clean, noisy: (columns, channels, height, width), pixels in [0, 1].
    labels, clean_predictions, noisy_predictions: int64 (columns,).
    """

    eps: float
    samples: int
    decay_lengths: tuple[float, ...]
    clean: Images
    noisy: Images
    labels: Labels
    clean_predictions: Labels
    noisy_predictions: Labels


def correlated_samples(
    model: Classifier,
    images: Images,
    labels: Labels,
    *,
    eps: float = 0.3,
    decay_lengths: Sequence[float] = (1, 2, 4, 8, 12),
    samples: int = 100,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> CorrelatedSamples:
    """Disturb the images with ``LongRangeCorrelated`` noise, several decay lengths in turn.

    images: as many for each decay length, in order: with 10 images and 5 lengths, the first two
        get the shortest. labels: int64, theirs.
    decay_lengths: at least one, in pixels; used in ascending order.
    seed: of the noise; device: where batches are sent; None takes the model's.
    Raises: ImageError, LabelError, ModelError; HyperparameterError, if a number is out of range or
        the images cannot be shared out.
    Source: Roth et al., arXiv:1805.08736, Fig. 3, right.
    """
    check_images(images)
    check_labels(labels, len(images))
    lengths = sorted(decay_lengths)
    if not lengths or len(images) % len(lengths):
        raise HyperparameterError(
            f"expected as many images for each of {len(lengths)} decay lengths, "
            f"got {len(images)} images"
        )
    device = model_device(model, images) if device is None else device
    each = len(images) // len(lengths)
    parts = zip(lengths, torch.split(images, each), torch.split(labels, each), strict=True)
    attacks = [
        LongRangeCorrelated(eps=eps, decay_length=length, samples=samples) for length in lengths
    ]
    with evaluation_mode(model):
        noisy = torch.cat(
            [
                attack(
                    model,
                    clean.to(device),
                    classes.to(device),
                    generator=derived_generator(seed, f"noise, decay length {length!r}"),
                ).cpu()
                for attack, (length, clean, classes) in zip(attacks, parts, strict=True)
            ]
        )
    return CorrelatedSamples(
        eps=eps,
        samples=samples,
        decay_lengths=tuple(length for length in lengths for _ in range(each)),
        clean=images.cpu(),
        noisy=noisy,
        labels=labels.cpu(),
        clean_predictions=predictions(model, images, device=device),
        noisy_predictions=predictions(model, noisy, device=device),
    )

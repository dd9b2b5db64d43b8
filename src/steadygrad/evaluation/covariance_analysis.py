"""One network's perturbations against the data they are added to: all that a report shows."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad._typing import Labels
from steadygrad.attacks import describe_attack
from steadygrad.checks import check_batch_size, check_eps
from steadygrad.covariance import ExponentialCovariance
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import predictions
from steadygrad.evaluation.perturbations import (
    PerturbationSource,
    PerturbationStructure,
    gather_structure,
    image_structure,
    perturbation_batches,
    perturbation_source,
    reach,
)
from steadygrad.evaluation.pictures import (
    CorrelatedSamples,
    SoftmaxLines,
    correlated_samples,
    one_of_each_class,
    softmax_lines,
)

__all__ = ["AnalysisSettings", "CovarianceAnalysis", "analyse_perturbations"]

LINES = 6
"""Images through which a line is drawn."""
COLUMNS_PER_LENGTH = 2
"""Images shown under noise of each decay length."""


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """What is estimated and shown.

    attack: as ``perturbation_source`` reads it: "gradient", or an attack's text.
    decay_lengths, noise_eps: of the noise of ``correlated_samples``: pixels, above 0, sorted here;
        its standard deviation in [0, 1].
    line_eps: radius of the PGD perturbations of ``softmax_lines``, in (0, 1].
    batch_size: images attacked together, at least 1. seed: of everything random.
    Raises: UnknownNameError, HyperparameterError.
    """

    attack: str = "pgd"
    decay_lengths: Sequence[float] = (1, 2, 4, 8, 12)
    noise_eps: float = 0.3
    line_eps: float = 4 / 255
    batch_size: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.source, self.line_source
        check_eps(self.noise_eps)
        lengths = tuple(sorted(float(length) for length in self.decay_lengths))
        if not lengths:
            raise HyperparameterError("expected at least one decay length, got none")
        for length in lengths:
            ExponentialCovariance((1, 1, 1), length)
        object.__setattr__(self, "decay_lengths", lengths)
        check_batch_size(self.batch_size)

    @property
    def source(self) -> PerturbationSource:
        """Where the perturbations come from."""
        return perturbation_source(self.attack)

    @property
    def line_source(self) -> PerturbationSource:
        """Where the directions of the lines come from."""
        return perturbation_source("pgd", eps=self.line_eps)


@dataclass(frozen=True, eq=False)
class CovarianceAnalysis:
    """What ``analyse_perturbations`` found.

    attack: name and settings of the perturbations' source, with eps, as JSON can hold them.
    perturbations, data: the structures, of the same images.
    samples: images under long-range correlated noise.
    lines: probabilities along lines through images of the true classes ``line_labels``, under the
        perturbations of ``line_attack``.
    dataset: name, split, n and note; class_names: in the order of the labels.
    """

    attack: dict[str, Any]
    perturbations: PerturbationStructure
    data: PerturbationStructure
    samples: CorrelatedSamples
    lines: SoftmaxLines
    line_labels: Labels
    line_attack: dict[str, Any]
    accuracy: float
    dataset: dict[str, Any]
    class_names: tuple[str, ...]
    batch_size: int
    seed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return everything but the images and matrices, as values that JSON can hold.

        A decay length is None where the function never falls to 1/e of its value at 0, or is not
        positive there.
        """
        samples, lines = self.samples, self.lines
        return {
            "attack": dict(self.attack),
            "dataset": dict(self.dataset),
            "accuracy": self.accuracy,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "seconds": self.seconds,
            "perturbations": _structure_json(self.perturbations),
            "data": _structure_json(self.data),
            "correlated_samples": {
                "eps": samples.eps,
                "samples": samples.samples,
                "decay_lengths": list(samples.decay_lengths),
                "labels": samples.labels.tolist(),
                "clean_predictions": samples.clean_predictions.tolist(),
                "noisy_predictions": samples.noisy_predictions.tolist(),
            },
            "softmax_lines": {
                "attack": dict(self.line_attack),
                "labels": self.line_labels.tolist(),
                "positions": [lines.positions[0].item(), lines.positions[-1].item()],
                "steepest": lines.steepest.tolist(),
            },
        }


def analyse_perturbations(
    model: nn.Module,
    dataset: ImageDataset,
    settings: AnalysisSettings,
    *,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CovarianceAnalysis:
    """Estimate the covariance of a network's perturbations on a data set, and the data's own.

    Perturbations lead away from the class that the network predicts, whether right or wrong;
    the images that are shown are right ones of different classes, as far as there are any.
    device: where batches are sent; None takes the model's. progress: hears (done, total) images.
    Raises: ModelError; CovarianceError, if no image was changed, or all images are equal.
    Source: Roth et al., arXiv:1805.08736, Figs. 1, 2, 3 (right) and 6.
    """
    batch_size, seed, lengths = settings.batch_size, settings.seed, tuple(settings.decay_lengths)
    began = time.perf_counter()
    images, labels = dataset.images(), dataset.labels
    predicted = predictions(model, images, batch_size=batch_size, device=device)
    right = predicted == labels.cpu()
    data = image_structure(dataset.pixels)
    perturbations = gather_structure(
        perturbation_batches(
            model,
            images,
            predicted,
            settings.source,
            batch_size=batch_size,
            seed=seed,
            device=device,
            progress=progress,
        )
    )
    count = COLUMNS_PER_LENGTH * len(lengths)
    columns = _examples(labels.cpu(), right, count)
    columns = columns[
        torch.arange(count, device="cpu") % len(columns)
    ]  # few images stand there twice
    samples = correlated_samples(
        model,
        images[columns],
        labels[columns],
        eps=settings.noise_eps,
        decay_lengths=lengths,
        seed=seed,
        device=device,
    )
    rows = _examples(labels.cpu(), right, LINES)
    (directions,) = perturbation_batches(
        model, images[rows], predicted[rows], settings.line_source, batch_size=LINES, device=device
    )
    return CovarianceAnalysis(
        attack=_described(settings.source),
        perturbations=perturbations,
        data=data,
        samples=samples,
        lines=softmax_lines(model, images[rows], directions, device=device),
        line_labels=labels[rows].cpu(),
        line_attack=_described(settings.line_source),
        accuracy=right.double().mean().item(),
        dataset={
            "name": dataset.name,
            "split": dataset.split,
            "n": len(dataset),
            "note": dataset.note,
        },
        class_names=dataset.class_names,
        batch_size=batch_size,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def _examples(labels: Labels, right: Tensor, count: int) -> Tensor:
    """Return up to ``count`` rows of different classes, of right examples where there are any."""
    return one_of_each_class(labels, right if right.any() else torch.ones_like(right), count)


def _described(source: PerturbationSource) -> dict[str, Any]:
    if isinstance(source, str):
        return {"name": source}
    described = describe_attack(source)  # type: ignore[arg-type] # reads its fields
    if "start_from_prediction" in described:
        described["start_from_prediction"] = True  # the labels it is given are the predictions
    return described | ({"eps": source.eps} if hasattr(source, "eps") else {})


def _structure_json(structure: PerturbationStructure) -> dict[str, Any]:
    def described(functions: Tensor, mean_reach: float | None) -> dict[str, Any]:
        return {
            "decay_length": _finite(mean_reach),
            "decay_lengths": [_finite(reach(function)) for function in functions],
            "functions": functions.tolist(),
        }

    return {
        "image_shape": list(structure.image_shape),
        "count": structure.count,
        "unchanged": structure.unchanged,
        "pixel_standard_deviation": math.sqrt(structure.pixel_variance),
        "shift": structure.shift,
        "intra_channel": described(structure.intra_channel, structure.intra_reach),
        "inter_channel": described(structure.inter_channel, structure.inter_reach)
        | {"pairs": [list(pair) for pair in structure.channel_pairs]},
    }


def _finite(length: float | None) -> float | None:
    return None if length is None or math.isinf(length) else length

"""How perturbations vary together, beside the images that they are added to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from steadygrad.covariance import DataFacts, Exponential, built, decay_length
from steadygrad.datasets import data_source, load_dataset
from steadygrad.errors import CovarianceError
from steadygrad.evaluation import (
    PerturbationStructure,
    gather_structure,
    image_structure,
    perturbation_batches,
    perturbation_source,
    predictions,
)
from steadygrad.evaluation.perturbations import too_large
from steadygrad.experiments.chart import LineChart, MatrixImage, Series
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench

__all__ = ["CovarianceFunctions", "LongRangeMatrices", "PerturbationMatrices"]

IMAGES = "training images"
SHARE = "covariance / its largest"
MOST_SHOWN = 512
"""Rows of a matrix in a picture, which has no more pixels for them."""


@dataclass(frozen=True, kw_only=True)
class _OfPerturbations(Artefact):
    """The structures of one network's perturbations.

    Args:
        data_title: the data set for people; network: of seed 0 and the paper's scale.
        attacks: texts of ``perturbation_source``, by the name for people.
    """

    data_title: str
    network: Network
    attacks: Mapping[str, str] = field(hash=False)

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the network of every seed; the first is shown."""
        return scale.all_of([self.network], seeds[:1])

    def structures(self, bench: Workbench) -> dict[str, PerturbationStructure]:
        """Return what each attack adds to the test images, away from the predicted class."""
        (network,) = bench.trained(self.networks(bench.scale, bench.seeds))
        data, model = (
            bench.image_set(network.config.data, bench.scale.attacked),
            bench.model(network),
        )
        images = data.images()
        predicted = predictions(model, images)
        found = {}
        for name, text in self.attacks.items():
            bench.progress(f"{network.label}: {name} perturbations of {len(data)} images")
            source = perturbation_source(text)
            batches = perturbation_batches(model, images, predicted, source, seed=EVALUATION_SEED)
            found[name] = gather_structure(batches)
        return found

    def caption(self, bench: Workbench) -> str:
        """Return what a reader must know of the perturbations."""
        return (
            f"{self.data_title}, scale {bench.scale.name}: perturbations of the first "
            f"{bench.scale.attacked:,} test images of one network without defence, away from the "
            f"class that it predicts, at eps 8/255 (DeepFool has none); seed {bench.seeds[0]}."
        )


@dataclass(frozen=True, kw_only=True)
class PerturbationMatrices(_OfPerturbations):
    """Covariance matrices of perturbations and of the training images, centre crops."""

    title: str = "covariance matrices of perturbations and of the training images"

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Estimate and draw them."""
        data = _train_structure(bench, self.network)
        structures = self.structures(bench) | {IMAGES: data}
        return ExperimentOutcome(
            caption=f"{self.caption(bench)} A quarter is trimmed on each side; each matrix is "
            "divided by its largest entry.",
            charts={self.stem: tuple(_matrix(n, _dense(s)) for n, s in structures.items())},
            tables={self.stem: _decay_table(self.title, structures)},
        )


@dataclass(frozen=True, kw_only=True)
class CovarianceFunctions(_OfPerturbations):
    """Covariance functions of one attack's perturbations, within and between channels."""

    title: str = "covariance functions of perturbations within and between channels"

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Estimate and draw them, beside those of the training images."""
        data = _train_structure(bench, self.network)
        structures = self.structures(bench) | {IMAGES: data}
        return ExperimentOutcome(
            caption=f"{self.caption(bench)} Covariance of two pixels by their rounded distance; "
            "the mean variance of a pixel is 1.",
            charts={
                self.stem: (
                    _functions("within a channel", structures, is_within=True),
                    _functions("between two channels", structures, is_within=False),
                )
            },
            tables={self.stem: _decay_table(self.title, structures)},
        )


@dataclass(frozen=True, kw_only=True)
class LongRangeMatrices(Artefact):
    """Matrices of exponential covariances, and that of a data set's training images beside them.

    Args:
        dataset: by name; decay_lengths: in pixels.
    """

    title: str
    dataset: str
    data_title: str
    decay_lengths: tuple[float, ...]

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Build and draw them."""
        train = load_dataset(
            self.dataset, "train", data_dir=bench.data_dir, limit=bench.scale.limit_train
        )
        facts = DataFacts(train.input_shape)
        charts = []
        rows: list[tuple[Cell, ...]] = []
        for length in self.decay_lengths:
            matrix = built(Exponential(length), facts).dense()
            charts.append(_matrix(f"decay length {length:g}", matrix))
            rows.append((f"exponential, decay length {length:g}", float(length)))
        structure = image_structure(train.pixels)
        charts.append(_matrix(f"{self.data_title} training images", _dense(structure)))
        rows.append((f"{self.data_title} training images", _rounded(structure.intra_reach)))
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: {len(train):,} training images. "
            "Long-range covariances exp(-r / decay length) within a channel, half of that between "
            "channels. A quarter is trimmed on each side.",
            charts={self.stem: charts},
            tables={
                self.stem: Table(
                    title=self.title,
                    columns=("covariance", "decay length within a channel (pixels)"),
                    rows=tuple(rows),
                    note="Where the mean function within a channel has fallen to 1/e.",
                )
            },
        )


def _train_structure(bench: Workbench, network: Network) -> PerturbationStructure:
    source = data_source(network.config.data)
    train = load_dataset(source, "train", data_dir=bench.data_dir, limit=bench.scale.limit_train)
    return image_structure(train.pixels)


def _dense(structure: PerturbationStructure) -> Tensor:
    if structure.matrix is None:
        raise CovarianceError(too_large(structure.image_shape))
    return structure.matrix


def _matrix(title: str, matrix: Tensor) -> MatrixImage:
    """Return the centre of a matrix, divided by its largest entry."""
    size = len(matrix)
    first = size // 4
    crop = matrix[first : size - first, first : size - first]
    values = (crop / crop.abs().max()).float()
    step = -(-len(values) // MOST_SHOWN)
    shown = avg_pool2d(values[None], step)[0]
    return MatrixImage(title=title, label=SHARE, values=shown, start=first, step=step)


def _functions(
    title: str, structures: Mapping[str, PerturbationStructure], *, is_within: bool
) -> LineChart:
    return LineChart(
        title=f"Covariance function {title}",
        x_label="distance between the pixels (pixels)",
        y_label="covariance (mean variance = 1)",
        series=tuple(_function_series(structures, is_within=is_within)),
    )


def _function_series(
    structures: Mapping[str, PerturbationStructure], *, is_within: bool
) -> Iterator[Series]:
    for name, structure in structures.items():
        functions = structure.intra_channel if is_within else structure.inter_channel
        channels = list(range(structure.image_shape[0]))
        pairs = [f"{a} and {b}" for a, b in structure.channel_pairs]
        farthest = min(functions.shape[1], max(structure.image_shape[1:]))
        for channel, function in zip(channels if is_within else pairs, functions, strict=True):
            yield Series(
                label=f"{name}, channel{'' if is_within else 's'} {channel}",
                x=tuple(range(farthest)),
                y=tuple(function[:farthest].tolist()),
                group=name,
            )


def _decay_table(title: str, structures: Mapping[str, PerturbationStructure]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, structure in structures.items():
        within = [decay_length(function) for function in structure.intra_channel]
        rows.append(
            (
                name,
                structure.count,
                structure.unchanged,
                _rounded(structure.intra_reach),
                _rounded(min(within)),
                _rounded(max(within)),
                None if structure.inter_reach is None else _rounded(structure.inter_reach),
                round(structure.shift, 4),
            )
        )
    return Table(
        title=f"Decay lengths: {title}",
        columns=(
            "of",
            "images",
            "unchanged",
            "within a channel",
            "shortest channel",
            "longest channel",
            "between channels",
            "share of the mean",
        ),
        rows=tuple(rows),
        note="Decay lengths in pixels: where the function has fallen to 1/e of its value at 0; "
        "empty where it never does. Share of the mean: of the raw second moments, 0 if centred.",
    )


def _rounded(length: float) -> float | None:
    return round(length, 2) if torch.isfinite(torch.tensor(length)) else None

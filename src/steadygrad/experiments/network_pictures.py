"""What one network makes of a few images: under correlated noise, and along an attack's line."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.attacks.longrange_correlated import Unit
from steadygrad.evaluation import (
    correlated_samples,
    perturbation_batches,
    perturbation_source,
    predictions,
    softmax_lines,
)
from steadygrad.evaluation.pictures import one_of_each_class
from steadygrad.experiments.chart import ImageGrid, LineChart, Series
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench

__all__ = ["GALLERY_CAPTION", "NoiseGallery", "SoftmaxPanels", "noise_gallery"]

GALLERY_CAPTION = (
    "Samples, from above: test image; the worst of 100 noisy copies, the prediction above it; the "
    "noise, stretched to the whole range; ζ is its decay length in pixels."
)

MOST_IMAGES = 1000
"""Test images among which those that are shown are looked for."""


@dataclass(frozen=True, kw_only=True)
class NoiseGallery:
    """Images before and after noise of several decay lengths.

    Args:
        networks: whose predictions stand below the images, a grid each; of seed 0.
        eps: of the noise, in its unit; decay_lengths: in pixels; each: images for each length.
    """

    networks: tuple[Network, ...]
    eps: float
    unit: Unit
    decay_lengths: tuple[float, ...]
    each: int = 2


def noise_gallery(bench: Workbench, gallery: NoiseGallery) -> tuple[ImageGrid, ...]:
    """Return a grid for each network that is trained: clean, noisy, and the noise alone."""
    seed = bench.seeds[0]
    trained = bench.trained([bench.scale.of(n.of_seed(seed)) for n in gallery.networks])
    return tuple(_gallery_grid(bench, network, gallery) for network in trained)


def _gallery_grid(bench: Workbench, network: Network, gallery: NoiseGallery) -> ImageGrid:
    count = gallery.each * len(gallery.decay_lengths)
    data = bench.image_set(network.config.data, MOST_IMAGES)
    model, images = bench.model(network), data.images()
    rows = _shown(predictions(model, images), data.labels, count)
    samples = correlated_samples(
        model,
        images[rows],
        data.labels[rows],
        eps=gallery.eps,
        decay_lengths=gallery.decay_lengths,
        unit=gallery.unit,
        seed=EVALUATION_SEED,
    )
    names = data.class_names
    noise = samples.noisy - samples.clean
    low, high = (bound(noise, dim=(1, 2, 3), keepdim=True) for bound in (Tensor.amin, Tensor.amax))
    stretched = (noise - low) / (high - low).clamp_min(1e-12)
    lengths = [f"ζ = {length:g}" for length in samples.decay_lengths]
    predicted = [names[int(k)] for k in samples.noisy_predictions]
    return ImageGrid(
        title=f"{network.label}: noise of eps {gallery.eps:g}",
        images=_rgb(torch.cat((samples.clean, samples.noisy, stretched))),
        titles=(*lengths, *predicted, *[""] * count),
        columns=count,
    )


def _shown(predicted: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return rows of ``count`` images of different classes, right ones where there are any."""
    right = predicted == labels
    rows = one_of_each_class(labels, right if right.any() else torch.ones_like(right), count)
    return rows[torch.arange(count) % len(rows)]  # few images stand there twice


def _rgb(images: Images) -> Tensor:
    """Return (n, height, width, 3)."""
    return images.float().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class SoftmaxPanels(Artefact):
    """Class probabilities along the line through an image and its PGD perturbation.

    Args:
        data_title: the data set for people; compared_networks: a row of panels each, of seed 0.
        eps: radius of the perturbation; reach: multiples of it to either side; images: shown.
    """

    title: str
    data_title: str
    compared_networks: tuple[Network, ...]
    eps: float
    reach: float = 5.0
    images: int = 3

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed."""
        return scale.all_of(self.compared_networks, seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Draw the same images for every network of the first seed; measure the slopes of all."""
        trained = bench.trained(self.networks(bench.scale, bench.seeds))
        panels: list[LineChart] = []
        rows: list[tuple[Cell, ...]] = []
        for network in trained:
            positions, probabilities, labels, steepest = self._lines(bench, network)
            names = bench.image_set(network.config.data, MOST_IMAGES).class_names
            if network.config.seed == bench.seeds[0]:
                panels += [
                    _panel(f"{network.label}: {names[int(label)]}", positions, lines, names)
                    for lines, label in zip(
                        probabilities[: self.images], labels[: self.images], strict=True
                    )
                ]
            rows.append(
                (
                    network.label,
                    network.config.seed,
                    len(steepest),
                    round(steepest.mean().item(), 3),
                    round(steepest.median().item(), 3),
                    round(steepest.max().item(), 3),
                )
            )
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: softmax activations at "
            f"image + t * perturbation, the perturbation being what PGD of 10 steps adds at eps "
            f"{255 * self.eps:.3g}/255 away from the prediction; not clipped. Named are "
            "the classes that lead somewhere. The table: the fastest change of any class's "
            f"probability per unit of t, over the first {bench.scale.attacked:,} test images.",
            charts={self.stem: panels} if panels else {},
            tables={
                self.stem: Table(
                    title=f"{self.title}: the steepest change along each line",
                    columns=("network", "seed", "images", "mean", "median", "largest"),
                    rows=tuple(rows),
                    note="Change of probability per unit of t.",
                )
            },
        )

    def _lines(self, bench: Workbench, network: Network) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return positions, probabilities and labels of what is shown, and slopes of all images."""
        model = bench.model(network)
        data = bench.image_set(network.config.data, bench.scale.attacked)
        images, labels = data.images(), data.labels
        predicted = predictions(model, images)
        source = perturbation_source("pgd", eps=self.eps)
        batches = perturbation_batches(model, images, predicted, source, seed=EVALUATION_SEED)
        lines = softmax_lines(model, images, torch.cat(list(batches)), reach=self.reach, points=41)
        every = torch.ones_like(labels, dtype=torch.bool)
        rows = one_of_each_class(labels, every, self.images)
        return lines.positions, lines.probabilities[rows], labels[rows], lines.steepest


def _panel(title: str, positions: Tensor, lines: Tensor, names: Sequence[str]) -> LineChart:
    leading = sorted({int(k) for k in lines.argmax(dim=1)})
    return LineChart(
        title=title,
        x_label="t, in image + t * perturbation",
        y_label="probability",
        series=tuple(
            Series(
                label=names[k],
                x=tuple(positions.tolist()),
                y=tuple(lines[:, k].tolist()),
            )
            for k in leading
        ),
        y_range=(-0.03, 1.03),
    )

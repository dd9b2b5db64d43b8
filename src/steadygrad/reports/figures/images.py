"""Images before and after an attack or noise, with what the network took them for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steadygrad.evaluation import CorrelatedSamples, Gallery
from steadygrad.reports.figures.canvas import GRID, new_figure, style
from steadygrad.reports.figures.names import wrapped
from steadygrad.reports.wording import eps_text

if TYPE_CHECKING:
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.figure import (
        Figure,
    )

__all__ = [
    "caption",
    "class_name",
    "correlated_samples_figure",
    "difference",
    "gallery_figure",
    "rescaled",
    "show_image",
]


RIGHT = "#00664b"


WRONG = "#a33c00"


def gallery_figure(
    gallery: Gallery,
    title: str = "",
    *,
    class_names: tuple[str, ...] | None = None,
    most: int = 8,
) -> "Figure":
    """Draw up to ``most`` examples: clean, change (grey is none, stretched to eps), adversarial.

    Each image's prediction stands under it, with a check mark if right and a cross if wrong.
    class_names: in the order of the labels; None prints the class indices.
    """
    count = min(most, len(gallery.clean))
    rows = (
        ("clean", gallery.clean, gallery.clean_predictions),
        ("change", difference(gallery), None),
        (f"eps {eps_text(gallery.eps)}", gallery.adversarial, gallery.adversarial_predictions),
    )
    with style():
        taller = _caption_inches(
            (gallery.clean_predictions[:count], gallery.adversarial_predictions[:count]),
            class_names,
        )
        width = 1.1 + 0.95 * count
        figure = new_figure(width, 4.0 + taller)
        grid = figure.subplots(len(rows), count, squeeze=False)
        for cells, (name, images, predictions) in zip(grid, rows, strict=True):
            cells[0].set_ylabel(name, fontweight="bold")
            for index, axes in enumerate(cells):
                show_image(axes, images[index])
                if predictions is not None:
                    caption(axes, int(predictions[index]), int(gallery.labels[index]), class_names)
        figure.suptitle(
            wrapped(title, int(10 * width)),
            fontsize=10.5,
            fontweight="bold",
            x=0.01,
            ha="left",
            parse_math=False,
        )
    return figure


def difference(gallery: Gallery, reach: float | None = None) -> Tensor:
    """Return the changes as images: 0.5 is none, 0 and 1 are -reach and +reach; None takes eps."""
    change = gallery.adversarial.double() - gallery.clean.double()
    reach = gallery.eps if reach is None else reach
    return (0.5 + change / (2 * (reach or 1.0))).clamp(0, 1)


def class_name(label: int, class_names: tuple[str, ...] | None) -> str:
    """Return the name of a class, its index if it has none."""
    known = class_names is not None and 0 <= label < len(class_names)
    return class_names[label] if known and class_names is not None else str(label)


def show_image(axes: "Axes", image: Tensor) -> None:
    """Draw one image (channels, height, width), pixels in [0, 1], without ticks."""
    pixels = image.detach().cpu().to(torch.float64).clamp(0, 1).movedim(0, -1)
    if pixels.shape[-1] != 3:
        pixels = pixels.mean(dim=-1)
    axes.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GRID)


def caption(axes: "Axes", prediction: int, label: int, class_names: tuple[str, ...] | None) -> None:
    """Write a prediction under an image, with a check mark if right and a cross if wrong."""
    is_right, name = prediction == label, _below(prediction, class_names)
    axes.set_xlabel(
        f"{'✓' if is_right else '✗'} {name}",
        color=RIGHT if is_right else WRONG,
        fontsize=9 if len(name) <= 9 else 7,
        parse_math=False,
    )


def _below(prediction: int, class_names: tuple[str, ...] | None) -> str:
    """Return a class's name in lines that are not wider than an image."""
    return wrapped(class_name(prediction, class_names), _CAPTION_LETTERS)


def _caption_inches(predictions: Iterable[Tensor], class_names: tuple[str, ...] | None) -> float:
    """Return by how much captions make a figure taller, whose rows these are predictions of."""
    return sum(
        0.11 * max(_below(int(one), class_names).count("\n") for one in row) for row in predictions
    )


_CAPTION_LETTERS = 14
"""Letters of 7 points that fit under an image."""


def correlated_samples_figure(
    samples: CorrelatedSamples, *, class_names: tuple[str, ...] | None = None
) -> "Figure":
    """Draw the columns under their decay lengths, predictions below the images.

    The noise is what was added after clipping to [0, 1], stretched to the full range.
    class_names: in the order of the labels; None prints the class indices.
    Source: Roth et al., arXiv:1805.08736, Fig. 3, right.
    """
    count = len(samples.clean)
    noise = rescaled(samples.noisy.double() - samples.clean.double())
    rows = (
        ("clean", samples.clean, samples.clean_predictions),
        (f"noisy, {eps_text(samples.eps)}", samples.noisy, samples.noisy_predictions),
        ("noise", noise, None),
    )
    with style():
        taller = _caption_inches(
            (samples.clean_predictions, samples.noisy_predictions), class_names
        )
        figure = new_figure(0.5 + 0.98 * count, 4.0 + taller)
        grid = figure.subplots(3, count, squeeze=False)
        for cells, (name, images, predicted) in zip(grid, rows, strict=True):
            cells[0].set_ylabel(name, fontweight="bold", fontsize=9)
            for index, axes in enumerate(cells):
                show_image(axes, images[index])
                if predicted is not None:
                    prediction, label = int(predicted[index]), int(samples.labels[index])
                    caption(axes, prediction, label, class_names)
        for axes, length in zip(grid[0], samples.decay_lengths, strict=True):
            axes.set_title(f"ζ = {length:g}", loc="center", fontsize=9.5, pad=4)
    return figure


def rescaled(noise: Tensor) -> Tensor:
    """Return each image of (n, channels, height, width) stretched so that it spans [0, 1]."""
    low, high = (bound(noise, dim=(1, 2, 3), keepdim=True) for bound in (Tensor.amin, Tensor.amax))
    return (noise - low) / (high - low).clamp_min(1e-12)

"""Images under correlated noise: original, disturbed, and the noise by itself."""

from typing import TYPE_CHECKING

from torch import Tensor

from steadygrad.evaluation import CorrelatedSamples
from steadygrad.reports.figures.canvas import new_figure, style
from steadygrad.reports.figures.gallery import caption, show_image
from steadygrad.reports.wording import eps_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["correlated_samples_figure", "rescaled"]


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
        figure = new_figure(0.5 + 0.98 * count, 4.0)
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

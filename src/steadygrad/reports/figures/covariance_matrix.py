"""Covariance matrices side by side: how far from the diagonal perturbations and data reach."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import PerturbationStructure
from steadygrad.reports.figures.canvas import new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["covariance_matrix_figure"]

ROWS_SHOWN = 4
"""Rows of the image in the enlarged lower pictures."""


def covariance_matrix_figure(structures: Mapping[str, PerturbationStructure]) -> "Figure":
    """Draw the matrices under their names: the centre, and four rows of pixels enlarged.

    Above, a quarter is trimmed from each side; below are the middle rows of the middle channel.
    Pixels are in row-major order, channel by channel; each matrix is divided by its largest
    absolute entry.
    Raises: HyperparameterError, without structures; CovarianceError, if one has no matrix.
    Source: Roth et al., arXiv:1805.08736, Fig. 1.
    """
    if not structures:
        raise HyperparameterError("expected at least one structure to draw, got none")
    with style():
        figure = new_figure(1.2 + 3.1 * len(structures), 6.4)
        grid = figure.subplots(2, len(structures), squeeze=False)
        for (upper, lower), (name, structure) in zip(grid.T, structures.items(), strict=True):
            matrix = structure.dense().matrix
            matrix = matrix / matrix.abs().max()
            size = len(matrix)
            _picture(upper, matrix, size // 4, size - size // 4)
            upper.set_title(name, parse_math=False)
            channels, height, width = structure.image_shape
            rows = min(ROWS_SHOWN, height)
            first = (height - rows) // 2
            start = (channels // 2) * height * width + first * width
            shades = _picture(lower, matrix, start, start + rows * width)
            _name_rows(lower, start, width, first, rows)
        grid[0, 0].set_ylabel("pixel (centre of the matrix)")
        grid[1, 0].set_ylabel(f"{rows} rows of pixels, enlarged")
        figure.colorbar(shades, ax=grid, label="covariance / its largest", shrink=0.6, aspect=30)
    return figure


def _picture(axes: "Axes", matrix: Tensor, start: int, stop: int) -> "AxesImage":
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    return axes.imshow(
        matrix[start:stop, start:stop].numpy(),
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        extent=(start, stop, stop, start),
    )


def _name_rows(axes: "Axes", start: int, width: int, first: int, rows: int) -> None:
    ticks = [start + (row + 0.5) * width for row in range(rows)]
    names = [f"row {first + row}" for row in range(rows)]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names, rotation=90, va="center")
    axes.tick_params(length=0)

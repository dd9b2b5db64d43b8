"""What a figure shows, as values; ``steadygrad.reports`` draws them."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import Tensor

__all__ = ["Chart", "ImageGrid", "LineChart", "MatrixImage", "PrintedPoint", "Series", "Surface"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line: x and y of equal length; low and high, if there are any, bound its 95 % band.

    group: name of lines that share a colour; drawn: "points" are not joined, and have a bar each
        instead of a band.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    group: str = ""
    drawn: Literal["line", "points"] = "line"


@dataclass(frozen=True)
class PrintedPoint:
    """A value that the paper prints, marked in the figure; without a label by the mark alone.

    series: label of the line whose colour it has; "" for none.
    """

    label: str
    x: float
    y: float
    series: str = ""


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over common axes; labels carry their units.

    x_names: what stands below x = 0, 1, ... instead of numbers, if any; they may have lines.
    y_range: what the y axis covers, so that charts can be compared; None: what the lines need.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    printed: tuple[PrintedPoint, ...] = ()
    x_names: tuple[str, ...] = ()
    is_log_y: bool = False
    y_range: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A function of two variables: values (rows of y, columns of x)."""

    title: str
    x_label: str
    y_label: str
    value_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: Tensor = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class MatrixImage:
    """A square matrix with values in [-1, 1], rows from above, white where it is 0.

    start: number of the first row and column that is shown; step: rows that stand in one, averaged.
    """

    title: str
    label: str
    values: Tensor = field(repr=False)
    start: int = 0
    step: int = 1


@dataclass(frozen=True, kw_only=True)
class ImageGrid:
    """Small RGB images with titles: images (n, height, width, 3) in [0, 1].

    legend: what colours mean.
    """

    title: str
    images: Tensor = field(repr=False)
    titles: tuple[str, ...]
    columns: int
    legend: str = ""


Chart: TypeAlias = LineChart | Surface | MatrixImage | ImageGrid
"""Anything that an experiment can draw."""

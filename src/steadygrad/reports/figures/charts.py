"""Drawing the charts of experiments: lines, surfaces and grids of small images."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from steadygrad.experiments.chart import Chart, ImageGrid, LineChart, Series, Surface
from steadygrad.reports.figures.canvas import (
    INK,
    MUTED,
    SeriesStyle,
    add_legend,
    new_figure,
    series_styles,
    style,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

__all__ = ["charts_figure"]

PANEL_WIDTH, PANEL_HEIGHT = 5.6, 4.1
IMAGE_ROW_HEIGHT = 0.58
"""Least height of a row of small images and their titles; inches, as all sizes here."""
TITLE_LETTERS, TITLE_LINE = 56, 0.17
"""Letters in a line of a panel's title, and its height."""
ROW_GAP = 0.11
"""Above and below each row of panels."""
LEGEND_COLUMNS, LEGEND_LETTERS = 2, 32
LEGEND_DROP = 0.52
"""From the axes' lower edge to a legend below numbers and the axis' label."""
LEGEND_LINE, LEGEND_GAP, LEGEND_BORDER = 0.145, 0.065, 0.15
"""Heights in a legend: of a line, between two entries, and around them all."""
CAPTION_LETTERS_PER_INCH = 17
PRINTED = "printed in the paper"
MOST_MARKERS = 16
MOST_COLUMNS = 3
TICK_NAME_SIZE = 7
TICK_NAME_LINE, TICK_NAME_LETTERS_PER_INCH = 0.12, 18
"""Height of a further line of a tick's name; its letters that stand in an inch."""
UPRIGHT_LINE_LETTERS = 32
"""Letters in a line of a tick's name where there is no room for it but upright."""
AXES_SHARE = 0.88
"""What of a panel's width and height is left to its axes, about."""


def charts_figure(charts: Sequence[Chart], caption: str = "") -> "Figure":
    """Draw charts side by side, each over its legend, and the caption below all of them.

    Four stand in two rows, more in rows of three. Charts that all show the same labels share one
    legend.

    A label looks the same in every chart, and those of a group share a colour. Bands are 95 %
    intervals; stars are values that the paper prints.
    """
    from matplotlib.transforms import ScaledTranslation

    looks = _looks(charts)
    columns = 2 if len(charts) == 4 else min(len(charts), MOST_COLUMNS)
    bands = -(-len(charts) // columns)
    is_shared = len(charts) > 1 and _show_the_same(charts)
    legend_columns = LEGEND_COLUMNS * (columns if is_shared else 1)
    width = max(7.0, PANEL_WIDTH * columns)
    unbroken = caption.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(unbroken, round(CAPTION_LETTERS_PER_INCH * width))
    with style():
        names = [_tick_names(chart, width / columns) for chart in charts]
        height = max(
            (_panel_height(chart) + own.upright for chart, own in zip(charts, names, strict=True)),
            default=PANEL_HEIGHT,
        )
        legends = max((_legend_height(chart, legend_columns) for chart in charts), default=0)
        rows_of_panels = bands * height
        figure_height = rows_of_panels + (1 if is_shared else bands) * legends
        figure = new_figure(width, figure_height + 0.17 * len(lines), row_gap=ROW_GAP)
        panels_part: FigureBase = figure
        if is_shared:
            parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(rows_of_panels, legends))
            panels_part, legend_part = parts.flat
        panels = list(panels_part.subplots(bands, columns, squeeze=False).flat)
        for unused in panels[len(charts) :]:
            unused.remove()
        for axes, chart, own in zip(panels, charts, names, strict=False):
            match chart:
                case LineChart():
                    handles = _lines(axes, chart, looks)
                    own.write(axes)
                    if not is_shared:
                        drop = LEGEND_DROP + own.depth
                        below = ScaledTranslation(0, -drop, figure.dpi_scale_trans)
                        _legend(
                            axes,
                            handles,
                            legend_columns,
                            bbox_to_anchor=(0.5, 0),
                            bbox_transform=axes.transAxes + below,
                        )
                case Surface():
                    _surface(axes, chart)
                case ImageGrid():
                    _images(axes, chart)
        if is_shared:
            _legend(legend_part, handles, legend_columns)
        if caption:
            figure.supxlabel("\n".join(lines), fontsize=8, color=MUTED, x=0.01, ha="left")
    return figure


def _show_the_same(charts: Sequence[Chart]) -> bool:
    shown = {
        (tuple(line.label for line in chart.series), bool(chart.printed))
        if isinstance(chart, LineChart)
        else None
        for chart in charts
    }
    return len(shown) == 1 and None not in shown


def _looks(charts: Sequence[Chart]) -> dict[str, SeriesStyle]:
    """Return how each label looks: a colour for each group, a marker and a line within it.

    Groups that no chart shows together may look the same, so that those of one chart do not.
    """
    groups: dict[str, list[str]] = {}
    together: dict[str, set[str]] = {}
    for chart in charts:
        lines = chart.series if isinstance(chart, LineChart) else ()
        here = {_group(line) for line in lines}
        for line in lines:
            members = groups.setdefault(_group(line), [])
            if line.label not in members:
                members.append(line.label)
            together.setdefault(_group(line), set()).update(here)
    styles = list(series_styles(groups).values())
    numbers: dict[str, int] = {}
    for group in groups:
        taken = {numbers[other] for other in together[group] if other in numbers}
        numbers[group] = next(n for n in range(len(groups)) if n not in taken)
    chosen = {group: styles[number] for group, number in numbers.items()}
    looks: dict[str, SeriesStyle] = {}
    for group, members in groups.items():
        if len(members) == 1:
            looks[members[0]] = chosen[group]
            continue
        for label, own in series_styles(members).items():
            looks[label] = replace(own, color=chosen[group].color)
    return looks


def _group(line: Series) -> str:
    return line.group or line.label


def _panel_height(chart: Chart) -> float:
    if not isinstance(chart, ImageGrid):
        return PANEL_HEIGHT + TITLE_LINE * _panel_title(chart).count("\n")
    return max(PANEL_HEIGHT, IMAGE_ROW_HEIGHT * _image_rows(chart))


def _panel_title(chart: Chart) -> str:
    return wrapped(chart.title, TITLE_LETTERS)


def _image_rows(chart: ImageGrid) -> int:
    return -(-len(chart.images) // chart.columns)


def _legend_height(chart: Chart, columns: int) -> float:
    if not isinstance(chart, LineChart):
        return 0
    names = [*(line.label for line in chart.series), *([PRINTED] if chart.printed else [])]
    heights = [LEGEND_LINE * (1 + _legend_text(name).count("\n")) + LEGEND_GAP for name in names]
    # As matplotlib fills columns: evenly, the first ones with what is left over.
    rows, longer = divmod(len(heights), columns)
    starts = [column * rows + min(column, longer) for column in range(columns + 1)]
    return max(sum(heights[start:end]) for start, end in pairwise(starts)) + LEGEND_BORDER


def _legend_text(label: str) -> str:
    return wrapped(label, LEGEND_LETTERS)


def _legend(
    owner: "Axes | FigureBase", handles: Mapping[str, "Artist"], columns: int, **place: Any
) -> None:
    add_legend(
        owner,
        list(handles.values()),
        [_legend_text(label) for label in handles],
        loc="upper center",
        ncols=columns,
        fontsize=8.5,
        handlelength=2.6,
        columnspacing=1.2,
        **place,
    )


def _lines(axes: "Axes", chart: LineChart, looks: Mapping[str, SeriesStyle]) -> dict[str, "Artist"]:
    """Draw them and return what a legend shows of each label."""
    from matplotlib.patheffects import withStroke

    handles: dict[str, Artist] = {}
    for series in chart.series:
        look = looks[series.label]
        if series.low is not None and series.high is not None:
            if series.drawn == "points":
                axes.vlines(series.x, series.low, series.high, color=look.color, linewidth=1)
            else:
                axes.fill_between(
                    series.x, series.low, series.high, color=look.color, alpha=0.12, linewidth=0
                )
        (line,) = axes.plot(
            series.x,
            series.y,
            color=look.color,
            linestyle=look.line if series.drawn == "line" else "none",
            marker=look.marker,
            markersize=7.5 if len(series.x) == 1 else 4.2,
            markevery=_marker_step(series),
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=1.6,
        )
        handles[series.label] = line
    for point in chart.printed:
        color = looks[point.series].color if point.series else INK
        axes.plot(
            point.x, point.y, marker="*", color=color, markersize=10 if point.label else 6.5,
            linestyle="none", zorder=5,
        )  # fmt: skip
        axes.annotate(
            point.label, (point.x, point.y), xytext=(7, -3), textcoords="offset points", fontsize=8,
            path_effects=[withStroke(linewidth=2.5, foreground="white")], zorder=6,
        )  # fmt: skip
    if chart.printed:
        (star,) = axes.plot([], [], marker="*", color=INK, markersize=10, linestyle="none")
        handles[PRINTED] = star
    if chart.is_log_y:
        axes.set_yscale("log")
    if chart.y_range:
        axes.set_ylim(*chart.y_range)
    axes.set_title(_panel_title(chart))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    return handles


@dataclass(frozen=True)
class _TickNames:
    """What stands below x = 0, 1, ...; depth: inches it needs beyond a line of numbers.

    upright: of the depth, the inches that names need which are turned by a right angle.
    """

    texts: tuple[str, ...]
    depth: float
    upright: float = 0.0

    def write(self, axes: "Axes") -> None:
        """Set the ticks, if there are names for them."""
        if self.texts:
            turn = 90 if self.upright else 0
            places = range(len(self.texts))
            axes.set_xticks(places, self.texts, fontsize=TICK_NAME_SIZE, rotation=turn)
            axes.set_xlim(-0.5, len(self.texts) - 0.5)


def _tick_names(chart: Chart, panel_width: float) -> _TickNames:
    """Return the names of a chart's ticks, upright where they would run into each other."""
    if not isinstance(chart, LineChart) or not chart.x_names:
        return _TickNames((), 0.0)
    room = AXES_SHARE * panel_width * TICK_NAME_LETTERS_PER_INCH / len(chart.x_names)
    if _longest_line(chart.x_names) <= room:
        further = max(name.count("\n") for name in chart.x_names)
        return _TickNames(chart.x_names, TICK_NAME_LINE * further)
    in_one_line = (name.replace("\n", " ") for name in chart.x_names)
    texts = tuple(wrapped(name, UPRIGHT_LINE_LETTERS) for name in in_one_line)
    length = _longest_line(texts) / TICK_NAME_LETTERS_PER_INCH
    return _TickNames(texts, length, upright=length)


def _longest_line(names: Sequence[str]) -> int:
    return max(len(line) for name in names for line in name.split("\n"))


def _marker_step(series: Series) -> int:
    return 1 if series.drawn == "points" else max(1, -(-len(series.x) // MOST_MARKERS))


def _surface(axes: "Axes", chart: Surface) -> None:
    image = axes.pcolormesh(
        chart.x, chart.y, chart.values.numpy(), cmap="viridis", shading="nearest", rasterized=True
    )
    axes.figure.colorbar(image, ax=axes, label=chart.value_label)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_title(_panel_title(chart))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)


def _images(axes: "Axes", chart: ImageGrid) -> None:
    axes.set_axis_off()
    axes.set_title(_panel_title(chart))
    width, height = 1 / chart.columns, 1 / _image_rows(chart)
    for index, (image, title) in enumerate(zip(chart.images, chart.titles, strict=True)):
        row, column = divmod(index, chart.columns)
        box = (
            (column + 0.06) * width,
            1 - (row + 0.94) * height,
            0.88 * width,
            (0.88 if not title else 0.74) * height,
        )
        inner = axes.inset_axes(box)
        inner.imshow(image.numpy(), interpolation="nearest")
        inner.set_xticks([])
        inner.set_yticks([])
        inner.grid(visible=False)
        inner.spines[:].set_visible(False)
        inner.set_title(title, fontsize=7, pad=2, fontweight="normal")
    if chart.legend:
        axes.annotate(
            chart.legend, (0, 0), xytext=(0, -10), xycoords="axes fraction",
            textcoords="offset points", fontsize=8, color=MUTED, va="top",
        )  # fmt: skip

"""Drawing the charts of experiments: lines, surfaces and grids of small images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from steadygrad.experiments.chart import (
    Chart,
    ImageGrid,
    LineChart,
    MatrixImage,
    Series,
    Surface,
)
from steadygrad.reports.figures.canvas import (
    INK,
    MUTED,
    SeriesStyle,
    add_legend,
    new_figure,
    series_styles,
    style,
)
from steadygrad.reports.figures.names import wrapped, wrapped_names

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase, SubFigure

__all__ = ["charts_figure"]

PANEL_WIDTH, AXES_HEIGHT = 5.6, 3.2
"""Of a panel with its labels, and of its axes alone; inches, as all sizes here."""
IMAGE_ROW_HEIGHT = 0.58
"""Least height of a row of small images and their titles."""
ROOM_FOR_LABELS = 6.0
"""Height that a row of panels has before its labels and legends are measured."""
ROW_GAP = 0.11
"""Above and below each row of panels."""
LEGEND_GAP, CAPTION_GAP = 0.06, 0.12
"""Between the label of an axis and the legend below it, and around the caption."""
MOST_COLUMNS, LEGEND_COLUMNS = 3, 2
"""Of panels in a figure, and of entries in the legend of one panel."""
TITLE_LETTERS, LEGEND_LETTERS, UPRIGHT_LETTERS = 56, 32, 32
"""Letters after which a title, an entry of a legend or an upright name goes on in a new line."""
PRINTED = "printed in the paper"
MOST_MARKERS = 16
TICK_NAME_SIZE = 7


def charts_figure(charts: Sequence[Chart], caption: str = "") -> "Figure":
    """Draw charts side by side, each over its legend, and the caption below all of them.

    Four stand in two rows, more in rows of three. Charts that all show the same labels share one
    legend. Everything is measured as it is drawn: names below an axis that would run into each
    other are turned upright, and the figure is as high as axes of equal height, labels, legends and
    caption need.

    A label looks the same in every chart, and those of a group share a colour. Bands are 95 %
    intervals; stars are values that the paper prints.
    """
    looks = _looks(charts)
    columns = 2 if len(charts) == 4 else min(max(len(charts), 1), MOST_COLUMNS)
    bands = max(1, -(-len(charts) // columns))
    is_shared = len(charts) > 1 and _show_the_same(charts)
    width = max(7.0, PANEL_WIDTH * columns)
    with style():
        axes_height = max((_axes_height(chart) for chart in charts), default=AXES_HEIGHT)
        figure = new_figure(width, bands * (axes_height + ROOM_FOR_LABELS), row_gap=ROW_GAP)
        grid = figure.add_gridspec(2, 1)
        panels_part, caption_part = (figure.add_subfigure(grid[row]) for row in range(2))
        panels = list(panels_part.subplots(bands, columns, squeeze=False).flat)
        for unused in panels[len(charts) :]:
            unused.remove()
        shown = panels[: len(charts)]
        handles = [_draw(*pair, looks) for pair in zip(shown, charts, strict=True)]
        figure.draw_without_rendering()
        crowded = [axes for axes, own in zip(shown, charts, strict=True) if _is_crowded(axes, own)]
        if crowded:
            for axes in crowded:
                _turn_names(axes)
            figure.draw_without_rendering()
        if is_shared:
            _legend(panels_part, handles[0], LEGEND_COLUMNS * columns, loc="outside lower center")
        else:
            for axes, own in zip(shown, handles, strict=True):
                _legend_below(axes, own)
        caption_height = _write_caption(caption_part, caption)
        grid.set_height_ratios([figure.get_figheight() - caption_height, caption_height])
        figure.draw_without_rendering()
        lacking = axes_height - min((_height(axes) for axes in shown), default=axes_height)
        panels_height = panels_part.bbox.height / figure.dpi + bands * lacking
        grid.set_height_ratios([panels_height, caption_height])
        figure.set_figheight(panels_height + caption_height)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout stands, in whatever format it is saved
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


def _axes_height(chart: Chart) -> float:
    if not isinstance(chart, ImageGrid):
        return AXES_HEIGHT
    return max(AXES_HEIGHT, IMAGE_ROW_HEIGHT * _image_rows(chart))


def _image_rows(chart: ImageGrid) -> int:
    return -(-len(chart.images) // chart.columns)


def _draw(axes: "Axes", chart: Chart, looks: Mapping[str, SeriesStyle]) -> dict[str, "Artist"]:
    """Draw a chart and return what a legend shows of each label."""
    axes.set_title(wrapped(chart.title, TITLE_LETTERS))
    match chart:
        case LineChart():
            return _lines(axes, chart, looks)
        case Surface():
            _surface(axes, chart)
        case MatrixImage():
            _matrix(axes, chart)
        case ImageGrid():
            _images(axes, chart)
    return {}


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
    if chart.x_names:
        axes.set_xticks(range(len(chart.x_names)), chart.x_names, fontsize=TICK_NAME_SIZE)
        axes.set_xlim(-0.5, len(chart.x_names) - 0.5)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    return handles


def _is_crowded(axes: "Axes", chart: Chart) -> bool:
    """Return whether two of the names that stand below the axis run into each other."""
    if not isinstance(chart, LineChart) or not chart.x_names:
        return False
    boxes = [name.get_window_extent() for name in axes.get_xticklabels()]
    return any(left.x1 >= right.x0 for left, right in pairwise(boxes))


def _turn_names(axes: "Axes") -> None:
    """Set the names below the axis upright."""
    texts = (" ".join(name.get_text().split()) for name in axes.get_xticklabels())
    upright = wrapped_names(texts, UPRIGHT_LETTERS)
    axes.set_xticks(axes.get_xticks(), upright, fontsize=TICK_NAME_SIZE, rotation=90)


def _legend_below(axes: "Axes", handles: Mapping[str, "Artist"]) -> None:
    """Add a legend below what is written below the axes; nothing, without handles."""
    from matplotlib.transforms import ScaledTranslation

    if not handles:
        return
    figure = axes.get_figure(root=True)
    assert figure is not None, "the axes are drawn already"
    written = (axes.bbox.y0 - axes.xaxis.label.get_window_extent().y0) / figure.dpi
    below = ScaledTranslation(0, -written - LEGEND_GAP, figure.dpi_scale_trans)
    _legend(
        axes,
        handles,
        LEGEND_COLUMNS,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
    )


def _legend(
    owner: "Axes | FigureBase", handles: Mapping[str, "Artist"], columns: int, **place: Any
) -> None:
    add_legend(
        owner,
        list(handles.values()),
        wrapped_names(handles, LEGEND_LETTERS),
        ncols=columns,
        fontsize=8.5,
        handlelength=2.6,
        columnspacing=1.2,
        borderaxespad=0.3,
        **place,
    )


def _write_caption(part: "SubFigure", caption: str) -> float:
    """Write a caption over the whole width and return the inches that it needs."""
    unbroken = caption.replace(" %", "\N{NO-BREAK SPACE}%")
    text = part.text(0.01, 0.99, unbroken, fontsize=8, color=MUTED, va="top", wrap=True)
    return text.get_window_extent().height / part.dpi + CAPTION_GAP if caption else CAPTION_GAP


def _height(axes: "Axes") -> float:
    """Return the inches that are there for the axes, whatever their aspect makes of them."""
    place = axes.get_position(original=True)
    return place.height * axes.figure.bbox.height / axes.figure.dpi


def _marker_step(series: Series) -> int:
    return 1 if series.drawn == "points" else max(1, -(-len(series.x) // MOST_MARKERS))


def _surface(axes: "Axes", chart: Surface) -> None:
    image = axes.pcolormesh(
        chart.x, chart.y, chart.values.numpy(), cmap="viridis", shading="nearest", rasterized=True
    )
    axes.figure.colorbar(image, ax=axes, label=chart.value_label)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)


def _matrix(axes: "Axes", chart: MatrixImage) -> None:
    start, stop = chart.start, chart.start + chart.step * len(chart.values)
    shades = axes.imshow(
        chart.values.numpy(), cmap="RdBu_r", vmin=-1, vmax=1, extent=(start, stop, stop, start)
    )
    axes.figure.colorbar(shades, ax=axes, label=chart.label)
    axes.grid(visible=False)
    axes.set_xlabel("pixel")
    axes.set_ylabel("pixel")


def _images(axes: "Axes", chart: ImageGrid) -> None:
    axes.set_axis_off()
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

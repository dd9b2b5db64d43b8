"""Points with names below them, their bars, and what the paper prints beside them."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.colors import to_hex

from steadygrad.experiments import LineChart, PrintedPoint, Series
from steadygrad.reports.figures import charts_figure
from steadygrad.reports.figures.charts import AXES_HEIGHT

SERIES = Series(
    label="from a", x=(0, 1), y=(40, 60), low=(30, 50), high=(50, 70), drawn="points"
)  # fmt: skip
CHART = LineChart(
    title="who withstands",
    x_label="victim",
    y_label="accuracy (%)",
    series=(SERIES,),
    printed=(PrintedPoint("", 0, 45.0, series="from a"),),
    x_names=("first", "second,\nwith a tail"),
)


def test_names_stand_in_for_numbers_below_the_axis() -> None:
    (axes,) = charts_figure([CHART]).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(CHART.x_names)
    assert axes.get_xlabel() == "victim"


def test_points_have_bars_and_no_band() -> None:
    (axes,) = charts_figure([CHART]).axes
    (bars,) = axes.collections
    ends = [[tuple(vertex) for vertex in path.vertices] for path in bars.get_paths()]
    assert ends == [[(0, 30), (0, 50)], [(1, 50), (1, 70)]]
    assert axes.lines[0].get_linestyle() == "None"


def test_a_printed_point_has_the_colour_of_its_series() -> None:
    (axes,) = charts_figure([CHART]).axes
    points, star, _ = axes.lines
    assert list(star.get_ydata()) == [45.0]
    assert to_hex(star.get_color()) == to_hex(points.get_color())
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["from a", "printed in the paper"]


def test_colours_are_spent_on_what_is_seen_together() -> None:
    def panel(*labels: str) -> LineChart:
        lines = tuple(Series(label=label, x=(0, 1), y=(0, 1)) for label in labels)
        return LineChart(title="", x_label="x", y_label="y", series=lines)

    beta_64 = panel("none", *(f"64 {k}" for k in range(6)))
    beta_8 = panel(*(f"8 {k}" for k in range(6)), "none")
    left, right = charts_figure([beta_64, beta_8]).axes
    colors = [[to_hex(line.get_color()) for line in axes.lines] for axes in (left, right)]
    assert [len(set(found)) for found in colors] == [7, 7]
    assert colors[0][0] == colors[1][-1]


def test_a_group_shares_a_colour_and_its_lines_differ() -> None:
    lines = tuple(
        Series(label=f"{kind} {beta}", x=(0, 1), y=(0, 1), group=kind)
        for kind in ("real", "complex")
        for beta in (0, 64)
    )
    chart = LineChart(title="", x_label="x", y_label="y", series=lines)
    (axes,) = charts_figure([chart]).axes
    colors = [to_hex(line.get_color()) for line in axes.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    markers = [line.get_marker() for line in axes.lines]
    assert markers[0] == markers[2] != markers[1] == markers[3]


@pytest.mark.parametrize(
    ("number", "rows"), [(1, [1]), (2, [2]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (6, [3, 3])]
)
def test_many_charts_stand_in_rows(number: int, rows: list[int]) -> None:
    figure = charts_figure([CHART] * number)
    tops = Counter(axes.get_subplotspec().rowspan.start for axes in figure.axes)
    assert [tops[row] for row in range(len(rows))] == rows
    assert all(axes.get_title(loc="left") or axes.get_title() for axes in figure.axes)


def test_a_chart_covers_the_range_it_names() -> None:
    free, bound = charts_figure([CHART, replace(CHART, y_range=(-3.0, 103.0))]).axes
    assert bound.get_ylim() == (-3, 103)
    assert free.get_ylim()[1] < 100


def test_a_long_title_has_lines_and_room_for_them() -> None:
    long = replace(
        CHART, title="MNIST: complex, beta 512, frozen phase, at a neighbour (uniform:0.1)"
    )
    short_figure, long_figure = charts_figure([CHART]), charts_figure([long])
    (axes,) = long_figure.axes
    title = axes.get_title(loc="left")
    assert "\n" in title
    assert title.split() == long.title.split()
    assert short_figure.get_figheight() < long_figure.get_figheight()


def test_axes_are_equally_high_whatever_stands_around_them() -> None:
    tall = replace(CHART, title="a title of many words " * 5, printed=())
    legend = replace(CHART, series=tuple(replace(SERIES, label=f"{k}") for k in range(9)))
    figures = [charts_figure([CHART]), charts_figure([legend, tall], "a caption " * 100)]
    heights = [axes.bbox.height / figure.dpi for figure in figures for axes in figure.axes]
    assert heights == pytest.approx([AXES_HEIGHT] * 3, abs=0.1)


def test_the_caption_stands_below_everything_and_inside_the_figure() -> None:
    figure = charts_figure([CHART] * 2, "what a reader must know " * 30)
    (caption,) = (text for part in figure.subfigs for text in part.texts)
    (legend,) = (legend for part in figure.subfigs for legend in part.legends)
    box = caption.get_window_extent()
    assert 0 <= box.y0 < box.y1 <= legend.get_window_extent().y0
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_the_outermost_names_have_room() -> None:
    (axes,) = charts_figure([CHART]).axes
    assert axes.get_xlim() == (-0.5, 1.5)


@pytest.mark.parametrize("number", [2, 6])
def test_charts_of_the_same_labels_share_one_legend(number: int) -> None:
    others = [replace(CHART, title=f"who else does, {k}") for k in range(1, number)]
    figure = charts_figure([CHART, *others])
    assert [axes.get_legend() for axes in figure.axes] == [None] * number
    (legend,) = (legend for part in figure.subfigs for legend in part.legends)
    assert [text.get_text() for text in legend.get_texts()] == ["from a", "printed in the paper"]


@pytest.mark.parametrize(
    "other",
    [
        replace(CHART, printed=()),
        replace(CHART, series=(replace(SERIES, label="from b"),), printed=()),
    ],
)
def test_charts_of_other_labels_have_legends_of_their_own(other: LineChart) -> None:
    figure = charts_figure([CHART, other])
    assert all(axes.get_legend() for axes in figure.axes)


def test_names_without_room_beside_each_other_are_turned() -> None:
    long = tuple(f"real {k},\nPGD(4)-trained at 0.2,\nfor 45 epochs" for k in range(14))
    many = replace(
        CHART,
        series=(replace(SERIES, x=tuple(range(14)), y=(50,) * 14, low=None, high=None),),
        x_names=long,
    )
    short, crowded = charts_figure([CHART]), charts_figure([many])
    for figure, turn in ((short, 0), (crowded, 90)):
        figure.canvas.draw()
        (axes,) = figure.axes
        names = axes.get_xticklabels()
        assert {name.get_rotation() for name in names} == {turn}
        boxes = [name.get_window_extent() for name in names]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        legend = axes.get_legend()
        assert legend is not None
        below = axes.xaxis.label.get_window_extent()
        assert below.y1 <= min(box.y0 for box in boxes)
        assert legend.get_window_extent().y1 <= below.y0
        assert legend.get_window_extent().y0 >= 0
    assert " ".join(axes.get_xticklabels()[0].get_text().split()) == " ".join(long[0].split())

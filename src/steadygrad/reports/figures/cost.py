"""What each run cost: training time, and the size of its network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steadygrad.reports.figures.canvas import INK, literal_text, new_figure, style, wrapped
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.series_style import SeriesStyle, series_styles
from steadygrad.reports.wording import large_number, seconds_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cost_figure"]


def cost_figure(
    runs: Sequence[RunRecord], styles: Mapping[str, SeriesStyle] | None = None
) -> "Figure":
    """Draw seconds an epoch, parameters and multiply-accumulates an image as bars, one a run.

    Bars start at 0 and carry their value; a run without a known value has a dash in its place.
    """
    styles = series_styles(run.name for run in runs) if styles is None else styles
    colors = [styles[run.name].color for run in runs]
    with style():
        figure = new_figure(10.2, 1.35 + 0.36 * len(runs))
        time, parameters, macs = figure.subplots(1, 3, sharey=True)
        _bars(
            time,
            [run.seconds_per_epoch for run in runs],
            [seconds_text(run.seconds_per_epoch) for run in runs],
            colors,
        )
        time.set_title("Training time")
        time.set_xlabel("seconds per epoch")
        for axes, counts, title, unit in (
            (parameters, [run.parameters for run in runs], "Parameters", "real numbers"),
            (macs, [run.macs for run in runs], "Work to classify", "real MACs per image"),
        ):
            _bars(axes, counts, [large_number(count) for count in counts], colors)
            axes.set_title(title)
            axes.set_xlabel(unit)
            axes.xaxis.set_major_formatter(lambda value, _: large_number(value))
        time.set_yticks(range(len(runs)), [wrapped(run.name) for run in runs])
        time.invert_yaxis()
        literal_text(time)
    return figure


def _bars(
    axes: "Axes",
    values: Sequence[float | None],
    labels: Sequence[str],
    colors: Sequence[str],
) -> None:
    from matplotlib.ticker import MaxNLocator

    known = [value or 0.0 for value in values]
    bars = axes.barh(range(len(known)), known, height=0.62, color=colors)
    axes.bar_label(bars, labels=list(labels), padding=4, fontsize=9, color=INK)
    axes.set_xlim(0, (max(known) or 1.0) * 1.28)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)

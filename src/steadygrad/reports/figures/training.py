"""How the runs learned: data loss, penalty and accuracy, epoch by epoch."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from steadygrad.reports.figures.canvas import MUTED, add_legend, new_figure, style, wrapped
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.series_style import SeriesStyle, series_styles
from steadygrad.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["training_figure"]

LOG_RATIO = 30
"""Losses that span more than this are drawn on a logarithmic axis."""
MARKERS_PER_LINE = 8


def training_figure(
    runs: Sequence[RunRecord], styles: Mapping[str, SeriesStyle] | None = None
) -> "Figure":
    """Draw data loss, penalty (both in nats) and accuracy (percent) of each run per epoch.

    Training accuracy is that of the images as the steps met them: augmented, attacked. Validation
    accuracy, on clean images, has markers and training accuracy then has none.
    """
    styles = series_styles(run.name for run in runs) if styles is None else styles
    rows = -(-len(runs) // 4)
    with style():
        figure = new_figure(10.2, 3.3 + 0.22 * rows)
        loss, penalty, accuracy = figure.subplots(1, 3)
        _panel(loss, runs, styles, lambda epoch: epoch.data_loss)
        _title(loss, "Data loss", "cross-entropy (nats)")
        _panel(penalty, runs, styles, lambda epoch: epoch.penalty or None)
        _title(penalty, "Penalty on the input gradient", "strength × squared norm (nats)")
        if not penalty.lines:
            _say(penalty, "no run was penalised")
        _accuracy(accuracy, runs, styles)
        handles = [_handle(styles[run.name]) for run in runs]
        add_legend(
            figure,
            handles,
            [wrapped(run.name) for run in runs],
            loc="outside lower center",
            ncols=min(4, len(runs)),
            handlelength=3.2,
        )
    return figure


def _panel(
    axes: "Axes",
    runs: Sequence[RunRecord],
    styles: Mapping[str, SeriesStyle],
    value: Callable[[EpochMetrics], float | None],
    *,
    marked: bool = True,
) -> None:
    drawn: list[float] = []
    for run in runs:
        points = [(epoch.epoch, value(epoch)) for epoch in run.metrics]
        known = [(epoch, number) for epoch, number in points if number is not None]
        if not known:
            continue
        look = styles[run.name]
        epochs, numbers = zip(*known, strict=True)
        axes.plot(
            epochs,
            numbers,
            color=look.color,
            linestyle=look.line,
            linewidth=1.6 if marked else 1.0,
            marker=look.marker if marked or len(known) == 1 else "",
            markersize=4,
            markevery=max(1, len(known) // MARKERS_PER_LINE),
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
        drawn += numbers
    if drawn and min(drawn) > 0 and max(drawn) / min(drawn) > LOG_RATIO:
        axes.set_yscale("log")
    _whole_epochs(axes)


def _accuracy(axes: "Axes", runs: Sequence[RunRecord], styles: Mapping[str, SeriesStyle]) -> None:
    is_validated = any(e.validation_accuracy is not None for run in runs for e in run.metrics)
    _panel(axes, runs, styles, lambda e: 100 * e.train_accuracy, marked=not is_validated)
    if is_validated:
        _panel(axes, runs, styles, _validation_percent)
        _title(axes, "Accuracy", "accuracy (%)")
        axes.annotate(
            "markers: validation\nthin lines: training",
            xy=(0.98, 0.04),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=8,
            color=MUTED,
        )
    else:
        _title(axes, "Accuracy in training", "accuracy (%), images as met")


def _validation_percent(epoch: EpochMetrics) -> float | None:
    return None if epoch.validation_accuracy is None else 100 * epoch.validation_accuracy


def _title(axes: "Axes", title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_xlabel("epoch")
    if not axes.lines and not axes.texts and title != "Penalty on the input gradient":
        _say(axes, "no epoch is finished")


def _say(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_yticks([])


def _whole_epochs(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _handle(look: SeriesStyle) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=look.color, linestyle=look.line, marker=look.marker, markersize=5, lw=1.6
    )

"""Figures of trained runs: accuracy against the radius, how they learned, what they cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from steadygrad.reports.comparison import ComparedRun, Comparison
from steadygrad.reports.figures.canvas import (
    INK,
    MUTED,
    SeriesStyle,
    add_legend,
    literal_text,
    new_figure,
    series_styles,
    style,
)
from steadygrad.reports.figures.names import wrapped_names
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.wording import about_record, large_number, length_norm, seconds_text
from steadygrad.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.figure import (
        Figure,
    )
    from matplotlib.lines import (
        Line2D,
    )

__all__ = ["cost_figure", "robustness_figure", "training_figure"]


MOST_MARKERS = 20


def robustness_figure(
    comparison: Comparison, styles: Mapping[str, SeriesStyle] | None = None
) -> "Figure":
    """Draw each run's accuracy in percent against eps, with Wilson 95 % bands.

    The legend lists the runs from the highest mean accuracy to the lowest. A dashed line marks
    guessing, where the number of classes is known. Radii that are multiples of 1/255 and no
    multiples of 0.005 are drawn in units of 1/255.
    styles: by run name; None gives each run its own.
    """
    names = [entry.run.name for entry in comparison.entries]
    styles = series_styles(names) if styles is None else styles
    scale = _scale(comparison)
    order = sorted(
        range(len(names)),
        key=lambda index: -comparison.entries[index].evaluation.curve.mean_accuracy,
    )
    listed = wrapped_names(names[index] for index in order)
    columns, height = _legend_size(listed)
    with style():
        figure = new_figure(7.6 + 2.3 * (columns - 1), max(4.1, height))
        axes = figure.subplots()
        handles = {
            index: _curve(axes, entry, styles[entry.run.name], scale)
            for index, entry in enumerate(comparison.entries)
        }
        _guessing(axes, comparison)
        _label(axes, comparison, scale)
        add_legend(
            figure,
            [handles[index] for index in order],
            listed,
            loc="outside right upper",
            title="run (line) with\n95 % interval (band)",
            alignment="left",
            title_fontproperties={"size": 8.5},
            labelspacing=_ENTRY_GAP,
            handlelength=3.2,
            ncols=columns,
        )
    return figure


_ENTRY_GAP = 0.7
"""Between the entries of a legend beside its curves, in heights of a letter."""


def _legend_size(names: Sequence[str]) -> tuple[int, float]:
    """Return the columns that a legend of these names needs beside a figure, and its inches."""
    letter = 9.5 / 72
    heights = [letter * (1.25 * (name.count("\n") + 1) + _ENTRY_GAP) for name in names]
    columns = max(1, math.ceil(sum(heights) / _TALLEST_LEGEND))
    rows = math.ceil(len(names) / columns)
    tallest = max(sum(heights[start : start + rows]) for start in range(0, len(names), rows))
    return columns, tallest + _LEGEND_TITLE


_TALLEST_LEGEND, _LEGEND_TITLE = 7.0, 0.7
"""Inches of a column of entries, and of what is above and below it."""


def _curve(axes: "Axes", entry: ComparedRun, look: SeriesStyle, scale: float) -> "Line2D":
    points = entry.points
    eps = [point.eps * scale for point in points]
    low, high = ([100 * point.ci95[end] for point in points] for end in (0, 1))
    accuracy = [100 * point.accuracy for point in points]
    if len(points) == 1:
        below, above = accuracy[0] - low[0], high[0] - accuracy[0]
        axes.errorbar(
            eps, accuracy, yerr=[[below], [above]], color=look.color, capsize=4, linestyle="none"
        )
    else:
        axes.fill_between(eps, low, high, color=look.color, alpha=0.16, linewidth=0)
    (line,) = axes.plot(
        eps,
        accuracy,
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        markevery=max(1, -(-len(points) // MOST_MARKERS)),
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,
        zorder=3,
    )
    return line


def _guessing(axes: "Axes", comparison: Comparison) -> None:
    chance = comparison.protocol.chance
    if chance is None:
        return
    axes.axhline(100 * chance, color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate(
        "guessing",
        xy=(0.01, 100 * chance),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize=8,
        color=MUTED,
    )


def _label(axes: "Axes", comparison: Comparison, scale: float) -> None:
    axes.set_title(comparison.protocol.title, parse_math=False)
    unit = "1/255 of the pixel range" if scale == 255 else "1 = the whole pixel range"
    attack = comparison.protocol.attack
    is_gaussian = about_record(attack).is_gaussian
    quantity = "standard deviation eps" if is_gaussian else "perturbation radius eps"
    norm = length_norm(attack)
    kind = "L-infinity" if norm is None else f"{norm} length"
    kind = "Gaussian noise" if is_gaussian else kind
    axes.set_xlabel(f"{quantity} ({kind}, {unit})")
    axes.set_ylabel("accuracy (%)")
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    radii = [eps * scale for entry in comparison.entries for eps in _radii(entry)]
    margin = 0.015 * (max(radii) - min(radii)) or 0.02 * scale
    axes.set_xlim(min(radii) - margin, max(radii) + margin)


def _scale(comparison: Comparison) -> float:
    """Return 255 for radii that were chosen in grey levels, else 1."""
    radii = [eps for entry in comparison.entries for eps in _radii(entry) if eps > 0]
    in_levels = _are_multiples(radii, 255) and not _are_multiples(radii, 200)
    return 255.0 if in_levels else 1.0


def _are_multiples(radii: Sequence[float], parts: int) -> bool:
    return all(abs(eps * parts - round(eps * parts)) < 1e-6 for eps in radii)


def _radii(entry: ComparedRun) -> tuple[float, ...]:
    return entry.evaluation.curve.eps_values


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
        _title(
            penalty,
            "Penalty on the input gradient",
            "as it enters the loss (nats)",
            if_empty="no run was penalised",
        )
        _accuracy(accuracy, runs, styles)
        handles = [_handle(styles[run.name]) for run in runs]
        add_legend(
            figure,
            handles,
            wrapped_names(run.name for run in runs),
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
        _title(axes, "Accuracy in training", "accuracy (%), training images")


def _validation_percent(epoch: EpochMetrics) -> float | None:
    return None if epoch.validation_accuracy is None else 100 * epoch.validation_accuracy


def _title(axes: "Axes", title: str, unit: str, if_empty: str = "no epoch is finished") -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_xlabel("epoch")
    if not axes.lines:
        _say(axes, if_empty)


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
        time.set_yticks(range(len(runs)), wrapped_names(run.name for run in runs))
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

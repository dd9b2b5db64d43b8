"""Accuracy against the attack's radius: the figure that the project is about."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from steadygrad.reports.comparison import ComparedRun, Comparison
from steadygrad.reports.figures.canvas import MUTED, add_legend, new_figure, style, wrapped
from steadygrad.reports.series_style import SeriesStyle, series_styles
from steadygrad.reports.wording import GAUSSIAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["robustness_figure"]

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
    with style():
        figure = new_figure(7.6, 4.1)
        axes = figure.subplots()
        handles = {
            index: _curve(axes, entry, styles[entry.run.name], scale)
            for index, entry in enumerate(comparison.entries)
        }
        _guessing(axes, comparison)
        _label(axes, comparison, scale)
        order = sorted(
            handles, key=lambda index: -comparison.entries[index].evaluation.curve.mean_accuracy
        )
        add_legend(
            figure,
            [handles[index] for index in order],
            [wrapped(names[index]) for index in order],
            loc="outside right upper",
            title="run (line) with\n95 % interval (band)",
            alignment="left",
            title_fontproperties={"size": 8.5},
            labelspacing=0.7,
            handlelength=3.2,
        )
    return figure


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
    is_gaussian = attack["name"] in GAUSSIAN
    quantity = "standard deviation eps" if is_gaussian else "perturbation radius eps"
    is_l2 = attack.get("norm") == "l2"
    kind = "Gaussian noise" if is_gaussian else "L2 length" if is_l2 else "L-infinity"
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

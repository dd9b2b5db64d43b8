"""An accuracy curve by itself: a table for terminals, a fragment for notebooks, a figure."""

from typing import TYPE_CHECKING

from rich.table import Table

from steadygrad.evaluation.curve import AccuracyCurve
from steadygrad.reports.audit.summary import fragment
from steadygrad.reports.figures.canvas import INK, MUTED, literal_text, new_figure, style
from steadygrad.reports.whole_table import print_whole
from steadygrad.reports.wording import attack_name

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )

__all__ = ["curve_figure", "curve_html", "curve_table", "show_curve"]

_HEADS = ("eps", "correct", "95 % interval")


def curve_table(curve: AccuracyCurve) -> Table:
    """Return the accuracy at each radius."""
    table = Table(box=None, pad_edge=False)
    for name in _HEADS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in _rows(curve):
        table.add_row(*row)
    return table


def show_curve(curve: AccuracyCurve) -> None:
    """Print what it is, and the table."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    console.print(_title(curve), markup=False, soft_wrap=True)
    print_whole(console, curve_table(curve))


def curve_html(curve: AccuracyCurve) -> str:
    """Return a fragment of HTML with the accuracy at each radius."""
    low, high = (100 * bound for bound in curve.mean_ci95)
    mean = f"mean over these eps: {100 * curve.mean_accuracy:.1f} % ({low:.1f}–{high:.1f})"
    return fragment(_title(curve), mean, _HEADS, _rows(curve))


def curve_figure(curve: AccuracyCurve) -> "Figure":
    """Return accuracy in percent against eps, with the band of Wilson's 95 % intervals."""
    eps = [point.eps for point in curve.points]
    bounds = [point.ci95 for point in curve.points]
    with style():
        figure = new_figure(6.0, 3.8)
        axes = figure.subplots()
        axes.plot(eps, [100 * point.accuracy for point in curve.points], color=INK, marker="o")
        lower, upper = ([100 * bound[end] for bound in bounds] for end in (0, 1))
        axes.fill_between(eps, lower, upper, color=MUTED, alpha=0.25, linewidth=0)
        axes.set_xlabel("eps")
        axes.set_ylabel("correct (%)")
        axes.set_ylim(0, 100)
        axes.set_title(_title(curve))
        literal_text(axes)
    return figure


def _title(curve: AccuracyCurve) -> str:
    return f"{attack_name(curve.attack)} on {curve.n:,} images"


def _rows(curve: AccuracyCurve) -> list[tuple[str, ...]]:
    return [
        (
            f"{point.eps:.4g}",
            f"{100 * point.accuracy:.1f} %",
            "{:.1f}–{:.1f}".format(*(100 * bound for bound in point.ci95)),
        )
        for point in curve.points
    ]

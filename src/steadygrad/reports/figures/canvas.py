"""What all figures share: type, lines, legends; no global state and no window."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.legend import Legend

__all__ = ["GRID", "INK", "MUTED", "add_legend", "literal_text", "new_figure", "style", "wrapped"]

INK = "#1f2933"
MUTED = "#52606d"
GRID = "#d9dee4"

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.9,
    "lines.markersize": 5.0,
    "svg.fonttype": "none",
    "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the house style inside the block, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, row_gap: float = 0.04) -> "Figure":
    """Return an empty figure of that size, on a canvas that needs no display.

    row_gap: above and below everything in it; inches, like the size.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=row_gap)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def literal_text(axes: "Axes") -> None:
    """Let tick labels and titles stand as they are written: a "$" in a name starts no formula."""
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title):
        text.set_parse_math(False)


def add_legend(
    owner: "FigureBase | Axes", handles: Sequence["Artist"], names: Sequence[str], **options: Any
) -> "Legend":
    """Add a legend whose entries read exactly as ``names``.

    Matplotlib drops labels that start with "_" and reads "$" as mathematics; run names may hold
    either, so the texts are set after the legend is made.
    """
    legend = owner.legend(handles, ["name"] * len(names), **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return legend


def wrapped(name: str, width: int = 26) -> str:
    """Return a name over at most three lines of about ``width`` letters."""
    lines = textwrap.wrap(name, width, max_lines=3, placeholder=" …") or [name]
    return "\n".join(lines)

"""What all figures share: size, type, colours and lines, legends, and how they become files."""

import io
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError
from steadygrad.extras import extra
from steadygrad.reports.figures.letters import FONT, use_fonts_with_all_letters, warn_of_boxes

if TYPE_CHECKING:
    from matplotlib.artist import (
        Artist,
    )
    from matplotlib.axes import (
        Axes,
    )
    from matplotlib.figure import (
        Figure,
        FigureBase,
    )
    from matplotlib.legend import (
        Legend,
    )

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "LineStyle",
    "SeriesStyle",
    "add_legend",
    "inline_svg",
    "literal_text",
    "new_figure",
    "save_figure",
    "series_styles",
    "style",
]


INK = "#1f2933"


MUTED = "#52606d"


GRID = "#d9dee4"


_STYLE: dict[Any, Any] = {
    "font.family": [FONT],
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
    "axes.formatter.useoffset": False,  # numbers that are the quantity, not the rest beside one
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
    with extra("report"):
        import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, row_gap: float = 0.04) -> "Figure":
    """Return an empty figure of that size, on a canvas that needs no display.

    row_gap: above and below everything in it; inches, like the size.
    """
    with extra("report"):
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


LineStyle: TypeAlias = Literal["-"] | tuple[float, tuple[float, ...]]


"""Matplotlib's: solid, or an offset with the lengths of dashes and gaps."""


# Okabe & Ito's colours for any colour vision, without the yellow that white paper swallows and
# with darker orange, purple and sky; neighbours differ in lightness, so they survive grey print.
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#b04c8c",
    "#1a1a1a",
    "#b8860b",
    "#3fa0d9",
    "#7a3b1d",
)


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")


LINES: tuple[LineStyle, ...] = ("-", (0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1.5, 1.5)))


@dataclass(frozen=True)
class SeriesStyle:
    """Colour (CSS hex), matplotlib marker and line style."""

    color: str
    marker: str
    line: LineStyle


def series_styles(names: Iterable[str]) -> dict[str, SeriesStyle]:
    """Return a style per name, in order; any two of the first 32 differ in colour or line."""
    return {
        name: SeriesStyle(
            color=COLORS[index % len(COLORS)],
            marker=MARKERS[(index + index // len(COLORS)) % len(MARKERS)],
            line=LINES[(index + index // len(COLORS)) % len(LINES)],
        )
        for index, name in enumerate(names)
    }


PNG_DPI = 200


_FONTS = "'Helvetica Neue', Arial, 'Liberation Sans', system-ui, sans-serif"


_UNDATED: dict[str, Any] = {"Date": None, "Creator": None}


def save_figure(figure: "Figure", path: Path | str) -> Path:
    """Write a figure as SVG or PNG, by the file's suffix; atomic, and the same bytes every time.

    Raises: OutputError, if the suffix is another one or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise OutputError(f"expected a figure file ending in .svg or .png, got {path.name!r}")
    data = _svg(figure, path.stem).encode() if path.suffix == ".svg" else _png(figure, path.name)
    write_atomically(path, data)
    return path


def inline_svg(figure: "Figure", prefix: str, description: str) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page.

    prefix: starts every id in it, so that figures of one page do not share any.
    description: read out instead of the drawing.
    """
    svg = _svg(figure, prefix)
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # HTML knows these namespaces; without the declarations the page holds no address at all.
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'href="#{prefix}-\2"', svg)
    attributes = f'<svg role="img" aria-label="{escape(description, quote=True)}"'
    svg = svg.replace("<svg", attributes, 1)
    # The size comes from the page; the viewBox keeps the proportions.
    return re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"', r"\1", svg, count=2)


def _svg(figure: "Figure", salt: str) -> str:
    with extra("report"):
        import matplotlib

    buffer = io.StringIO()
    with style(), _missing_glyphs_allowed():
        use_fonts_with_all_letters(figure)
        matplotlib.rcParams["svg.hashsalt"] = salt
        figure.savefig(buffer, format="svg", metadata=_UNDATED)
    # Measured with the font that matplotlib brings along, shown in the reader's own.
    return buffer.getvalue().replace(f"'{FONT}'", _FONTS)


def _png(figure: "Figure", name: str) -> bytes:
    buffer = io.BytesIO()
    with style(), _missing_glyphs_allowed():
        boxes = use_fonts_with_all_letters(figure)
        figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    if boxes:
        warn_of_boxes(boxes, name)
    return buffer.getvalue()


@contextmanager
def _missing_glyphs_allowed() -> Iterator[None]:
    """Draw a box for letters that no installed font has, and take a font in the weight it has."""
    about_fonts = logging.getLogger("matplotlib.font_manager")
    level = about_fonts.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        about_fonts.setLevel(logging.ERROR)
        try:
            yield
        finally:
            about_fonts.setLevel(level)

"""Figures as files, and as SVG to stand inside an HTML page."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError
from steadygrad.reports.figures.canvas import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "save_figure"]

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
    data = _svg(figure, path.stem).encode() if path.suffix == ".svg" else _png(figure)
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
    import matplotlib

    buffer = io.StringIO()
    with style(), _missing_glyphs_allowed():
        matplotlib.rcParams["svg.hashsalt"] = salt
        figure.savefig(buffer, format="svg", metadata=_UNDATED)
    # Measured with the font that matplotlib brings along, shown in the reader's own.
    return buffer.getvalue().replace("'DejaVu Sans'", _FONTS)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    with style(), _missing_glyphs_allowed():
        figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _missing_glyphs_allowed() -> Iterator[None]:
    """Draw a box for letters that the font lacks (run names can be in any script)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield

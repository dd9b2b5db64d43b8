"""How the curves of a run look: the same colour, marker and line in every figure of a report."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["LineStyle", "SeriesStyle", "series_styles"]

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

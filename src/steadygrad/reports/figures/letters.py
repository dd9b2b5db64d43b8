"""Letters that the font of the figures lacks: names of runs and classes can be in any script."""

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )
    from matplotlib.font_manager import (
        FontEntry,
    )

__all__ = ["FONT", "families_for", "missing_letters", "use_fonts_with_all_letters", "warn_of_boxes"]

FONT = "DejaVu Sans"
"""The font of all figures; matplotlib brings it along."""

_PLAIN = "400", "normal", "regular", "book"
"""Weights of fonts that are neither bold nor light."""

_DRAWS_BOXES = "Last Resort"
"""A font of matplotlib with a box for every letter there is."""


def use_fonts_with_all_letters(figure: "Figure") -> str:
    """Let texts that need it use another installed font as well; letter by letter.

    Returns:
        The letters that no installed font has, which are drawn as boxes; empty if none.
    """
    from matplotlib.text import Text

    for axes in figure.axes:  # tick labels exist once they are asked for
        axes.get_xticklabels(), axes.get_yticklabels()
    lacking: dict[str, None] = {}  # in order
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        missing = missing_letters(text.get_text())
        if missing:
            families = families_for(frozenset(missing))
            text.set_fontfamily([FONT, *families])
            found = frozenset[str]().union(*map(_letters_of, families))
            lacking |= dict.fromkeys(letter for letter in missing if letter not in found)
    return "".join(lacking)


def warn_of_boxes(letters: str, name: str) -> None:
    """Warn that a picture shows boxes in place of letters."""
    shown = letters if len(letters) <= 12 else f"{letters[:12]} and {len(letters) - 12} others"
    warnings.warn(
        f"{name} shows boxes in place of {shown}: no font on this machine has these letters; "
        "install one, such as Noto Sans CJK for Chinese, Japanese and Korean, or use the SVG, "
        "which the viewer draws with its own fonts",
        stacklevel=4,
    )


def missing_letters(text: str) -> tuple[str, ...]:
    """Return the visible letters of a text that the figures' own font lacks, each once."""
    if text.isascii():
        return ()
    own = _letters_of(FONT)
    return tuple(dict.fromkeys(one for one in text if one.isprintable() and one not in own))


@lru_cache(maxsize=64)
def families_for(letters: frozenset[str]) -> tuple[str, ...]:
    """Return as few installed font families as have the letters, as far as there are any.

    Of equally good ones, that without serifs, then the first by its name.
    """
    open_letters, chosen = set(letters), []
    families = {family: _letters_of(family) & letters for family in _installed()}
    while open_letters:
        best = min(
            families,
            key=lambda family: (-len(families[family] & open_letters), *_rank(family)),
        )
        if not families[best] & open_letters:
            break
        chosen.append(best)
        open_letters -= families[best]
    return tuple(chosen)


def _rank(family: str) -> tuple[bool, str]:
    words = family.casefold().split()
    return any(word in words for word in ("serif", "mono", "song", "ming", "mincho")), family


@lru_cache(maxsize=1)
def _installed() -> Mapping[str, str]:
    """Return the families of installed fonts, each with the file of its plainest font."""
    from matplotlib.font_manager import fontManager

    entries: dict[str, list[FontEntry]] = {}
    for entry in fontManager.ttflist:
        if not entry.name.startswith((_DRAWS_BOXES, ".")):
            entries.setdefault(entry.name, []).append(entry)
    return {
        family: min(
            entries[family],
            key=lambda entry: (entry.style != "normal", str(entry.weight) not in _PLAIN),
        ).fname
        for family in sorted(entries)
    }


@lru_cache(maxsize=4096)
def _letters_of(family: str) -> frozenset[str]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(map(chr, get_font(_installed()[family]).get_charmap()))
    except (OSError, RuntimeError, ValueError):  # a font file that is gone or broken
        return frozenset()

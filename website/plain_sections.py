"""Griffe extension: docstring lines of the form ``name: text`` become a list of arguments.

Older docstrings of the package describe arguments as ``strength: at least 0. steps: at least 1.``
Names that are parameters or fields are set as a list, so that the reference shows one a line.
"""

import re
from typing import Any

import griffe

_HEADING = re.compile(r"(Args|Returns|Raises|Source|Shapes|Yields): (?=\S)")
"""A section whose text begins on the heading's own line, which Google's form does not have."""


class PlainSections(griffe.Extension):
    """Rewrite the docstrings of classes and functions before they are parsed."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Rewrite a class's docstring by its fields."""
        self._rewrite(cls, set(cls.members))

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Rewrite a function's docstring by its parameters."""
        self._rewrite(func, {parameter.name for parameter in func.parameters})

    @staticmethod
    def _rewrite(thing: Any, names: set[str]) -> None:
        if thing.docstring is not None and names:
            thing.docstring.value = as_list(thing.docstring.value, names)


def as_list(text: str, names: set[str]) -> str:
    """Return the docstring with every ``name: text`` outside a section as an item of a list.

    Args:
        text: a docstring, cleaned of its indentation.
        names: parameters or fields that may be described.
    """
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    item = re.compile(rf"(?:(?<=^)|(?<=\. )|(?<=\) ))((?:{known})(?:, (?:{known}))*): ")
    paragraphs = []
    for paragraph in text.split("\n\n"):
        heading = _HEADING.match(paragraph)
        if heading is not None:
            lines = [line.strip() for line in paragraph[heading.end() :].splitlines()]
            paragraphs.append(f"**{heading[1]}:** {' '.join(lines).strip()}")
            continue
        first = paragraph.split(":", 1)[0]
        is_section = re.match(r"(Args|Returns|Raises|Attributes|Yields|Source|Shapes):", paragraph)
        if is_section or paragraph.startswith("    ") or not re.match(r"[\w, ]+$", first):
            paragraphs.append(paragraph)
            continue
        joined = " ".join(line.strip() for line in paragraph.splitlines())
        pieces = item.split(joined)
        if len(pieces) < 3 or pieces[0]:
            paragraphs.append(paragraph)
            continue
        items = zip(pieces[1::2], pieces[2::2], strict=True)
        paragraphs.append("\n".join(f"- `{name}`: {said.strip()}" for name, said in items))
    return "\n\n".join(paragraphs)

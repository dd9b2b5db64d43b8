"""What the program tells its caller: results, messages, exit codes."""

import codecs
import io
import os
import sys

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "REFUSED",
    "messages",
    "print_table",
    "print_text",
    "results",
    "tell",
    "tolerate_any_encoding",
]

results = Console(highlight=False)
"""Standard output: what was asked for, and nothing else."""

messages = Console(stderr=True, highlight=False)
"""Standard error: progress, hints and refusals."""

FAILED = 1
"""Exit code when an audit is done and does not reach what was asked of it."""

REFUSED = 2
"""Exit code when the input is refused, the same as for a mistyped option."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


def print_text(text: str, style: str = "") -> None:
    """Print a result line as it is: brackets are no markup, and nothing is wrapped."""
    results.print(Text(text, style=style), soft_wrap=True)


def tell(sentence: str) -> None:
    """Print a message as it is: brackets are no markup, and nothing is wrapped."""
    messages.print(Text(sentence), soft_wrap=True)


def print_table(table: RenderableType) -> None:
    """Print a table whole: where it is wider than the terminal, as a list of its rows.

    A pipe or file has no width: there a table is as wide as it needs to be. Of a group, each table
    is printed so, and the rest as it is.
    """
    if isinstance(table, Group):
        for part in table.renderables:
            print_table(part)
        return
    if not isinstance(table, Table):
        results.print(table)
        return
    wide = Console(width=10_000, highlight=False)
    needed = wide.measure(table).maximum
    is_narrow = results.is_terminal or "COLUMNS" in os.environ
    if needed <= results.width:
        results.print(table)
    elif is_narrow:
        results.print(_listed(table), soft_wrap=True)
    else:
        Console(file=results.file, width=needed, highlight=False).print(table)


def _listed(table: Table) -> Text:
    """Return each row as its first cell, and below it "header: value" for each of the others."""
    lines = []
    heads = [_text(column.header) for column in table.columns]
    rows = zip(*(list(column.cells) for column in table.columns), strict=True)
    for first, *others in rows:
        lines.append(_text(first))
        for head, value in zip(heads[1:], others, strict=True):
            if cell_len(said := _text(value).plain.strip()):
                lines.append(Text("  ").append_text(head).append(f": {said}"))
    return Text("\n").join(lines)


def _text(cell: object) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text.from_markup(str(cell))


_PLAIN_SIGNS = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "±": "+-",
    "×": "x",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "∞": "inf",
    "·": "*",
    "•": "*",
    "│": "|",
    "─": "-",
    "\u00a0": " ",
}


def tolerate_any_encoding() -> None:
    """Print a plainer sign for every one that the encoding of the output lacks."""
    codecs.register_error("steadygrad", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="steadygrad")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN_SIGNS.get(sign, "?") for sign in lacking), error.end

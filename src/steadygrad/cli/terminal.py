"""What the program tells its caller: results, messages, exit codes."""

import codecs
import io
import shlex
import sys

from rich.console import Console, RenderableType
from rich.text import Text

__all__ = [
    "FAILED",
    "FAULT",
    "INTERRUPTED",
    "NO_READER",
    "REFUSED",
    "command",
    "messages",
    "print_table",
    "print_text",
    "results",
    "tell",
    "tell_next",
    "tolerate_any_encoding",
]

results = Console(highlight=False, emoji=False)
"""Standard output: what was asked for, and nothing else."""

messages = Console(stderr=True, highlight=False, emoji=False)
"""Standard error: progress, hints and refusals."""

FAILED = 1
"""Exit code when an audit is done and does not reach what was asked of it."""

REFUSED = 2
"""Exit code when the input is refused, the same as for a mistyped option."""

FAULT = 3
"""Exit code after an error that nobody expected, of the program or of a network that it runs."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""

NO_READER = 141
"""Exit code where the program that reads the output has ended (``| head``), as shells use it."""


def print_text(text: str, style: str = "") -> None:
    """Print a result line as it is: brackets are no markup, and nothing is wrapped."""
    results.print(Text(text, style=style), soft_wrap=True)


def tell(sentence: str) -> None:
    """Print a message as it is: brackets are no markup, and nothing is wrapped."""
    messages.print(Text(sentence), soft_wrap=True)


def command(*words: object) -> str:
    """Return a command of the program as a shell reads it, such as after a path with spaces."""
    return shlex.join(["steadygrad", *map(str, words)])


def tell_next(*words: object) -> None:
    """Print the command that goes on from here."""
    tell(f"next: {command(*words)}")


def print_table(table: RenderableType) -> None:
    """Print a table whole, see ``print_whole``."""
    from steadygrad.reports.whole_table import print_whole  # not for --help: reports need torch

    print_whole(results, table)


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

"""Other people's words inside a Markdown page: names of runs, models and data sets."""

import re

__all__ = ["markdown_text"]


def markdown_text(text: str) -> str:
    """Return a text as Markdown shows it, in one line: none of its signs is markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#!~&])", r"\\\1", " ".join(text.splitlines()))

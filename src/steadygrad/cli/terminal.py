"""Where the program writes: results to standard output, everything else to standard error."""

from rich.console import Console

__all__ = ["messages", "results"]

results = Console(highlight=False)
messages = Console(stderr=True, highlight=False)

"""What the program tells its caller: results, messages, exit codes."""

from rich.console import Console

__all__ = ["INTERRUPTED", "REFUSED", "messages", "results"]

results = Console(highlight=False)
"""Standard output: what was asked for, and nothing else."""

messages = Console(stderr=True, highlight=False)
"""Standard error: progress, hints and refusals."""

REFUSED = 2
"""Exit code when the input is refused, the same as for a mistyped option."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""

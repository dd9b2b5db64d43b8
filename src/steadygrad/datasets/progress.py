"""A progress bar that appears only if the work turns out to be long."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["track_if_slow"]

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
"""Work expected to take longer in all gets a bar."""
LOOK_AFTER_SECONDS = 0.5
"""When the expectation is formed, from the share done so far."""
BLOCK = 256
"""Items between two looks at the clock."""


def track_if_slow(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items; draw a bar on standard error, if that is a terminal and they take long."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task(description, total=total)
    started, is_shown = time.monotonic(), False
    try:
        for done, item in enumerate(items, start=1):
            yield item
            if done % BLOCK:
                continue
            elapsed = time.monotonic() - started
            expected = elapsed / done * total
            if not is_shown and elapsed > LOOK_AFTER_SECONDS and expected > PATIENCE_SECONDS:
                progress.start()
                is_shown = True
            progress.update(task, completed=done)
    finally:
        if is_shown:
            progress.stop()

"""How an audit shows where it is: a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from steadygrad.cli.terminal import messages, tell
from steadygrad.progress_lines import ProgressLines

__all__ = ["audit_progress"]


@contextmanager
def audit_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback ``(name, done, total)``; every attack that ends is told as a line."""
    if not messages.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("looking the model over", total=1)
        now = ""

        def report(name: str, done: int, total: int) -> None:
            nonlocal now
            if name != now:
                bar.reset(task, description=name, total=total)
                now = name
            bar.update(task, completed=done, total=total)

        yield report


class _Lines:
    """Tells a plain line when something is done, and now and then before that."""

    def __init__(self) -> None:
        self.now: str | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        if name != self.now:
            self.now, self.began, self.is_told = name, time.monotonic(), False
            self.lines = ProgressLines(name, tell)
        self.lines(done, total)
        if done < total or self.is_told:
            return
        self.is_told = True
        if name == "done":  # as the diagnostics say of themselves
            tell(f"diagnostics: {total:,} done")
        else:
            tell(f"{name}: {total:,} images in {time.monotonic() - self.began:.1f} s")

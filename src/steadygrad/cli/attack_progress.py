"""How an attack shows where it is: a bar on a terminal, now and then a line elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from steadygrad.cli.terminal import messages, tell
from steadygrad.progress_lines import ProgressLines

__all__ = ["attack_progress"]


@contextmanager
def attack_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback ``(done, total)`` that moves a bar on standard error, or tells a line."""
    if not messages.is_terminal:
        yield ProgressLines(title, tell)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report

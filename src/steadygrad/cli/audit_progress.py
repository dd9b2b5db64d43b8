"""How an audit shows where it is: a bar for what runs now, a line for what is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from steadygrad.cli.terminal import messages

__all__ = ["audit_progress"]


@contextmanager
def audit_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback ``(name, done, total)``; elsewhere than on a terminal it shows nothing."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=messages, transient=True, disable=not messages.is_terminal
    ) as bar:
        task = bar.add_task("looking the model over", total=1)
        now = ""

        def report(name: str, done: int, total: int) -> None:
            nonlocal now
            if name != now:
                bar.reset(task, description=name, total=total)
                now = name
            bar.update(task, completed=done, total=total)

        yield report

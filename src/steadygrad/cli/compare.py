"""``steadygrad compare``: several runs side by side in one page."""

from pathlib import Path
from typing import Annotated

import typer

from steadygrad.cli.terminal import print_table, tell
from steadygrad.reports import load_runs, summary_table, write_report

__all__ = ["register"]

_EPILOG = "Example: steadygrad compare runs/mnist-complex runs/mnist-real --out report.html"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare", epilog=_EPILOG)(_compare)


def _compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders that `steadygrad evaluate` has measured.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """Write one HTML page that compares several runs, and print their table."""
    path = write_report(runs, out, title=title)
    print_table(summary_table(load_runs(runs)))
    tell(f"report: {path}")

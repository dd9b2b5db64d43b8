"""The program: its commands, and how its errors reach the user."""

import sys
from typing import Annotated

import typer

from steadygrad import __version__
from steadygrad.cli.commands import LazyGroup
from steadygrad.cli.terminal import INTERRUPTED, REFUSED, messages, tolerate_any_encoding
from steadygrad.errors import SteadygradError

__all__ = ["app", "main"]

app = typer.Typer(
    name="steadygrad",
    cls=LazyGroup,
    help="Train, attack and compare image classifiers that keep their prediction when the "
    "input is disturbed.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    del version  # printed by its callback
    from steadygrad.memory import keep_freed_memory  # torch: not for --help

    keep_freed_memory()


def main() -> None:
    """Run the program: exit 0 when done, 2 with one sentence when refused, 130 on Ctrl-C."""
    tolerate_any_encoding()
    try:
        app()
    except SteadygradError as error:
        messages.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        messages.print("interrupted")
        sys.exit(INTERRUPTED)


def _plain(error: SteadygradError) -> str:
    from rich.markup import escape

    return escape(str(error))

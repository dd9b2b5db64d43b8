"""The program: its commands, and how its errors reach the user."""

import errno
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, TextIO

import typer

from steadygrad import __version__
from steadygrad.cli.commands import LazyGroup
from steadygrad.cli.terminal import (
    FAULT,
    INTERRUPTED,
    REFUSED,
    messages,
    tell,
    tolerate_any_encoding,
)
from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, MainProcessError, SteadygradError
from steadygrad.launcher import has_launcher

__all__ = ["app", "main"]

_OF_MANY_PROCESSES = "train", "harden", "evaluate", "audit", "transfer", "margin", "experiment"
"""The commands that share their work among the processes of a launcher."""

_OF_A_DISK = errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO
"""Codes of errors that more room or another disk mends."""

_SECONDS_TO_SPEAK = 3
"""How long the others wait before they end with an error, and the main one after SIGTERM."""

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
    context: typer.Context,
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
    if has_launcher() and context.invoked_subcommand not in _OF_MANY_PROCESSES:
        _refuse_many_processes(context.invoked_subcommand)


def main() -> None:
    """Run the program.

    Exit code 0 when done, 1 when a limit is not met, 2 with one sentence when refused, 3 with a
    traceback after an error that nobody expected, 130 on Ctrl-C, 141 where the program that reads
    the output has ended.
    """
    tolerate_any_encoding()
    with _main_process_alone_prints(), _warnings_as_sentences():
        try:
            app()
        except MainProcessError as error:
            print(f"error: {error}", file=sys.__stderr__)
            sys.exit(REFUSED)
        except SteadygradError as error:
            messages.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
            sys.exit(REFUSED)
        except KeyboardInterrupt:
            messages.print("interrupted")
            sys.exit(INTERRUPTED)
        except Exception as error:  # of somebody's network, in a later pass, or a fault of ours
            if has_launcher():
                raise  # silent or not, every process shows its traceback
            sys.exit(_explained(error))


def _explained(error: Exception) -> int:
    """Tell of an error that no sentence was written for; return the exit code."""
    from steadygrad.memory import is_out_of_memory  # torch: not for --help

    if is_out_of_memory(error):
        tell(f"error: out of memory; a smaller --batch-size needs less ({described(error)})")
        return REFUSED
    if isinstance(error, OSError) and error.errno in _OF_A_DISK:
        tell(f"error: a file or the output could not be read or written ({described(error)})")
        return REFUSED
    traceback.print_exception(error)
    tell(f"error: unexpected {described(error)}")
    return FAULT


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Show our own warnings without the line of code that gave them."""
    show, ours = warnings.showwarning, Path(__file__).parents[1]

    def told(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category is UserWarning and Path(filename).is_relative_to(ours):
            tell(f"warning: {message}")
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = told
    try:
        yield
    finally:
        warnings.showwarning = show


@contextmanager
def _main_process_alone_prints() -> Iterator[None]:
    """Keep the other processes of a launcher silent; a traceback still reaches the terminal."""
    if not has_launcher():
        yield
        return
    if os.environ["RANK"] == "0":
        with _time_to_speak():
            yield
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        try:
            yield
        except SystemExit as end:
            if end.code:  # the launcher now ends the others, of which one still has to speak
                time.sleep(_SECONDS_TO_SPEAK)
            raise


@contextmanager
def _time_to_speak() -> Iterator[None]:
    """Let SIGTERM end this process some seconds later, since it may be about to say why.

    A launcher sends it as soon as another process is gone.
    """

    def end_later(*_: object) -> None:
        end = threading.Timer(_SECONDS_TO_SPEAK, os._exit, [128 + signal.SIGTERM])
        end.daemon = True
        end.start()

    before = signal.signal(signal.SIGTERM, end_later)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_many_processes(command: str | None) -> None:
    from steadygrad.training.process_group import launched_ranks

    processes = launched_ranks().count
    if processes > 1:
        raise HyperparameterError(
            f"expected one of {', '.join(_OF_MANY_PROCESSES)} in {processes} processes, got "
            f"{command}: "
            "start it without a launcher"
        )


def _plain(error: SteadygradError) -> str:
    from rich.markup import escape

    return escape(str(error))

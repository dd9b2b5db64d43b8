"""The commands, each loaded when it is asked for: the program's own help needs none of them."""

import copy
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from steadygrad.cli.terminal import INTERRUPTED, NO_READER, tell
from steadygrad.errors import HyperparameterError
from steadygrad.extras import extra

__all__ = ["SUMMARIES", "Commands", "Group", "LazyGroup", "OnceCommand"]

SUMMARIES = {
    "train": "Train a network and keep its weights, settings and metrics in a run folder.",
    "harden": "Fine-tune a trained network for a radius and report robustness and accuracy before "
    "and after.",
    "check-model": "List what a network is made of, whether it can be penalised, and what a step "
    "costs.",
    "evaluate": "Attack a trained network and print and store its accuracy at each radius.",
    "audit": "Attack any classifier in several ways and report if its accuracy can be trusted.",
    "transfer": "Attack some networks and measure how well their adversarial examples fool others.",
    "margin": "Measure the smallest change of each image that changes its predicted class.",
    "covariance": "Estimate the covariance of a network's adversarial perturbations, and draw it.",
    "compare": "Write one HTML page that compares several runs, and print their table.",
    "compare-audits": "Test whether the worst cases of two or more audited models differ by more "
    "than chance.",
    "models": "List the networks, with their parameters and multiply-accumulates (MACs).",
    "datasets": "List the data sets that can be loaded by name.",
    "parts": "List everything that commands and TOML files can name, with settings and defaults.",
    "demo": "Train four small networks on scikit-learn's digits, attack them, write a report.",
    "experiment": "Reproduce the papers' figures and tables.",
}
"""Each command and the first paragraph of its own help, in the order of the program's help.

A command ``check-model`` is what ``register`` of ``steadygrad.cli.check_model`` adds.
"""


class OnceCommand(TyperCommand):
    """A command that refuses several values of an option that takes one: the last would count."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            HyperparameterError: an option that takes one value has several.
        """
        given = list(args)  # reading them empties the list
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:  # of a line that is still being typed
            self._refuse_several_values(ctx, given)
        return rest

    def _refuse_several_values(self, ctx: Any, args: list[str]) -> None:
        parser = self.make_parser(ctx)
        options = [
            option
            for option in self.get_params(ctx)
            if isinstance(option, TyperOption)
            and not (option.multiple or option.is_flag or option.count)
        ]
        for option in options:
            parser.add_option(option, option.opts, option.name, "append", option.nargs)
        values = parser.parse_args(args)[0]
        for option in options:
            found = values.get(option.name, ())
            if len(found) > 1:
                raise HyperparameterError(
                    f"expected {option.opts[0]} once, got {' and '.join(map(str, found))}"
                )


class Group(typer.Typer):
    """Commands, each of which is an ``OnceCommand``."""

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Add a command."""
        return super().command(name, **{"cls": OnceCommand} | settings)


class Commands(Mapping[str, Any]):
    """The commands by name; reading one imports its module, listing their names imports none."""

    def __getitem__(self, name: str) -> Any:
        if name not in SUMMARIES:
            raise KeyError(name)
        return _loaded(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)

    def __contains__(self, name: object) -> bool:
        return name in SUMMARIES


class LazyGroup(TyperGroup):
    """The program: its help and its completion read ``SUMMARIES``, a call loads one command."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": Commands()})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Return the names, in order."""
        return list(self.commands)

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Read the arguments, and answer those that ask for the help or the version."""
        with _code_of_a_gone_reader(), _word_on_an_interruption():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _code_of_a_gone_reader(), _word_on_an_interruption():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        super(LazyGroup, self._outline()).format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the completions of a command's name or an option of the program."""
        return super(LazyGroup, self._outline()).shell_complete(ctx, incomplete)

    def _outline(self) -> "LazyGroup":
        """Return a program whose commands are their names and summaries."""
        outline = copy.copy(self)
        outline.commands = {
            name: TyperCommand(name=name, callback=None, help=summary)
            for name, summary in SUMMARIES.items()
        }
        return outline


@contextmanager
def _code_of_a_gone_reader() -> Iterator[None]:
    """End with exit code 141 where the output is a pipe that was closed.

    rich and typer would end with 1, the code of a limit that is not met.

    Raises:
        SystemExit: nobody reads the output any more.
    """
    try:
        yield
    except (BrokenPipeError, SystemExit) as end:
        cause = end.__context__ if isinstance(end, SystemExit) else end
        if not isinstance(cause, BrokenPipeError):
            raise
        # What is still to be flushed goes nowhere: Python would tell of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO_READER)


@contextmanager
def _word_on_an_interruption() -> Iterator[None]:
    """End with exit code 130 and a word after Ctrl-C; typer ends in silence.

    Raises:
        SystemExit: the command was interrupted, and did not say so itself.
    """
    try:
        yield
    except KeyboardInterrupt:
        tell("interrupted")
        sys.exit(INTERRUPTED)


@cache
def _loaded(name: str) -> Any:
    """Return the command, which its module adds to a program of its own.

    Raises:
        MissingExtraError: a library of the command line is not installed.
    """
    alone = Group(pretty_exceptions_enable=False, rich_markup_mode="rich")
    with extra("train"):
        module = import_module(f"steadygrad.cli.{name.replace('-', '_')}")
    module.register(alone)
    return typer.main.get_group(alone).commands[name]

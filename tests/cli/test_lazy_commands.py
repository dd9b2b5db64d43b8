"""The program's own help: read from one table, without loading a command or torch."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from program import Program
from steadygrad.cli.application import app
from steadygrad.cli.commands import SUMMARIES, LazyGroup, OnceCommand
from steadygrad.cli.terminal import NO_READER

GROUP = typer.main.get_command(app)
HEAVY = ("torch", "numpy", "steadygrad.cli.train", "steadygrad.reports", "steadygrad.attacks")


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_is_the_first_paragraph_of_the_commands_own_help(name: str) -> None:
    own = inspect.cleandoc(GROUP.commands[name].help).partition("\n\n")[0]
    assert SUMMARIES[name] == " ".join(own.split())


def test_the_help_shows_every_command_with_its_summary(program: Program) -> None:
    outcome = program("--help")
    assert outcome.code == 0
    said = " ".join(outcome.out.replace("│", " ").split())
    for name, summary in SUMMARIES.items():
        assert f"{name} {summary}" in said


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_import_neither_torch_nor_a_command(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys\n"
        "from steadygrad.program import main\n"
        "try:\n    main()\nfinally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def _commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        else:
            assert isinstance(command, OnceCommand)
            yield (*path, name)


def test_every_command_is_of_the_kind_that_takes_one_value_once() -> None:
    assert isinstance(GROUP, TyperGroup)
    assert {("train",), ("transfer",), ("experiment", "run")} <= set(_commands(GROUP))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("evaluate", "run", "--attack", "a", "--attack=b"), "expected --attack once, got a and b"),
        (
            ("harden", "run", "--dataset", "digits", "--eps", "0.05", "--eps", "0.1"),
            "expected --eps once, got 0.05 and 0.1",
        ),
        (
            ("transfer", "a", "--victims", "b", "c", "--eps", "0", "--eps", "0"),
            "expected --eps once, got 0 and 0",
        ),
        (
            ("experiment", "run", "x", "--scale", "quick", "--scale", "paper"),
            "expected --scale once, got quick and paper",
        ),
    ],
)
def test_an_option_of_one_value_given_twice_is_refused(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    outcome = program(*arguments)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {sentence}\n")


@pytest.mark.parametrize("command", ["evaluate", "margin", "covariance", "compare"])
def test_ctrl_c_ends_with_a_word_and_code_130(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("evaluate", "margin", "covariance"):
        monkeypatch.setattr(f"steadygrad.cli.{name}.judged_model", interrupted)
    monkeypatch.setattr("steadygrad.cli.compare.write_report", interrupted)
    outcome = program(command, "run", "--out", tmp_path / "out")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")


def test_a_mistyped_command_is_refused_with_the_nearest(program: Program) -> None:
    outcome = program("adit")
    assert outcome.code == 2
    assert "Did you mean 'audit'?" in outcome.err


def test_completion_of_a_command_shows_its_summary() -> None:
    assert isinstance(GROUP, LazyGroup)
    context = GROUP.make_context("steadygrad", [], resilient_parsing=True)
    found = {item.value: item.help for item in GROUP.shell_complete(context, "compare")}
    assert sorted(found) == ["compare", "compare-audits"]
    assert str(found["compare"]).startswith("Write one HTML page that compares")


@pytest.mark.parametrize("arguments", [("--version",), ("datasets",), ("datasets", "--json")])
def test_an_output_that_nobody_reads_ends_with_a_code_of_its_own(
    arguments: tuple[str, ...],
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "steadygrad", *arguments]
    with os.fdopen(writer, "w") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == NO_READER
    assert ended.stderr == b""

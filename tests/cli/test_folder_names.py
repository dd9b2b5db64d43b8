"""Folders of users: brackets are no markup, and a proposed command is one that a shell reads."""

import shlex
from pathlib import Path

import pytest

from program import TINY, Outcome, Program


def following(outcome: Outcome) -> list[str]:
    """Return the words of the command that a command proposes in its last line."""
    return shlex.split(outcome.err.splitlines()[-1].removeprefix("next: "))


@pytest.mark.parametrize("name", ["a [b]", "it's [/b]"])
def test_folders_may_be_called_anything(program: Program, tmp_path: Path, name: str) -> None:
    run = tmp_path / name
    trained = program("train", *TINY, "--model", "digits-real", "--out", run)
    assert trained.code == 0 and f"run folder: {run}\n" in trained.err
    assert following(trained)[:3] == ["steadygrad", "evaluate", str(run)]

    evaluated = program("evaluate", run, "--attack", "pgd:steps=1", "--eps", "0,0.1", "--limit", 9)
    assert following(evaluated)[1:] == ["compare", str(run), "--out", "report.html"]
    compared = program("compare", run, "--out", tmp_path / f"{name}.html")
    assert compared.code == 0 and f"report: {tmp_path / name}.html\n" in compared.err
    seen = program("covariance", run, "--limit", 9, "--out", tmp_path / f"{name} of it")
    assert seen.code == 0 and f"page: {tmp_path / name} of it/index.html\n" in seen.err

"""Running the program in-process, and one trained and evaluated run to point it at."""

import sys
from pathlib import Path

import pytest

from program import TINY, Outcome, Program
from steadygrad.cli import main


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """``program("train", "--out", path)`` is what typing it would do."""

    def run(*arguments: object, columns: int = 200) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["steadygrad", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with one evaluation, made once by the program itself."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    for arguments in (
        ("train", *TINY, "--model", "digits-complex", "--out", folder),
        ("evaluate", folder, "--attack", "pgd:steps=2", "--eps", "0:0.2:0.1", "--limit", 40),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["steadygrad", *map(str, arguments)])
            try:
                main()
            except SystemExit as stop:
                assert not stop.code, arguments
    return folder

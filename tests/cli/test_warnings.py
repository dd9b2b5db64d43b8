"""Warnings reach the terminal as sentences."""

import warnings

import pytest

from program import Program
from steadygrad.cli import application


@pytest.mark.filterwarnings("default")
def test_a_warning_of_ours_is_one_sentence_and_one_of_a_library_says_where(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_both() -> None:
        warnings.warn_explicit("the disk [/b] is nearly full", UserWarning, application.__file__, 1)
        warnings.warn_explicit("old", UserWarning, "/elsewhere/library.py", 7)

    others: list[str] = []
    monkeypatch.setattr(application, "app", gives_both)
    monkeypatch.setattr(
        warnings, "showwarning", lambda *told: others.append(f"{told[2]} {told[0]}")
    )
    assert program().err == "warning: the disk [/b] is nearly full\n"
    assert others == ["/elsewhere/library.py old"]

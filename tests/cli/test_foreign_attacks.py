"""Attacks of other libraries on the command line."""

import json
import sys
from pathlib import Path

import pytest

from program import Program


@pytest.mark.parametrize(
    ("attack", "library", "settings"),
    [
        ("autoattack", "pyautoattack", ("--eps", "0,0.9")),
        ("carlini-wagner:steps=15", "foolbox", ("--eps", "0,4")),
    ],
)
def test_an_attack_by_name_breaks_what_stood(
    program: Program, trained_run: Path, attack: str, library: str, settings: tuple[object, ...]
) -> None:
    outcome = program(
        *("evaluate", trained_run, "--attack", attack, *settings, "--limit", 30, "--json")
    )
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["attack"]["name"] == attack.partition(":")[0]
    assert told["attack"]["library"].startswith(f"{library} ")
    clean, attacked = (result["accuracy"] for result in told["results"])
    assert clean > 0.1 and attacked < clean / 2


@pytest.mark.parametrize(
    ("attack", "module", "extra"),
    [("autoattack", "pyautoattack", "autoattack"), ("carlini-wagner", "foolbox", "foolbox")],
)
def test_without_the_library_one_sentence_says_how_to_install_it(
    program: Program,
    trained_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: str,
    module: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    outcome = program("evaluate", trained_run, "--attack", attack, "--eps", 0.1)
    assert outcome.code == 2 and outcome.out == ""
    assert outcome.err == (
        f"error: {module} is not installed; install it with pip install 'steadygrad[{extra}]'\n"
    )


def test_a_setting_that_it_does_not_have_is_refused(program: Program, trained_run: Path) -> None:
    outcome = program(*("evaluate", trained_run, "--attack", "autoattack:steps=3", "--eps", 0.1))
    assert outcome.code == 2
    assert (
        "attack autoattack has no setting 'steps' (did you mean 'eps'?); choose from eps, norm"
        in outcome.err
    )

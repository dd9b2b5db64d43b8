"""Attacks of other libraries on the command line."""

import json
import sys
from pathlib import Path

import pytest

from program import Program


def test_autoattack_by_name(program: Program, trained_run: Path) -> None:
    outcome = program(
        *("evaluate", trained_run, "--attack", "autoattack", "--eps", 0.9, "--limit", 4, "--json")
    )
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["attack"]["name"] == "autoattack"
    assert told["attack"]["library"].startswith("pyautoattack ")
    assert told["results"][0]["accuracy"] == 0


def test_carlini_wagner_by_name_at_l2_radii(program: Program, trained_run: Path) -> None:
    outcome = program(
        *("evaluate", trained_run, "--attack", "carlini-wagner", "--norm", "l2"),
        *("--eps", "0,3", "--steps", 5, "--limit", 4),
    )
    assert outcome.code == 0, outcome.err
    assert "carlini-wagner on 4 images" in outcome.out


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
    outcome = program(
        *("evaluate", trained_run, "--attack", "autoattack", "--steps", 3, "--eps", 0.1)
    )
    assert outcome.code == 2
    assert "settings of autoattack among eps, norm, version, attacks, got 'steps'" in outcome.err

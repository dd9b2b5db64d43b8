"""NES on the command line."""

import json
from pathlib import Path

import pytest

from program import Program


def test_its_settings_reach_the_attack(program: Program, trained_run: Path) -> None:
    outcome = program(
        *("evaluate", trained_run, "--eps", "0,0.3", "--limit", 10, "--json"),
        *("--attack", "nes:queries=56,sigma=0.01,stop_early=true,steps=4,loss=logit"),
    )
    assert outcome.code == 0, outcome.err
    printed = json.loads(outcome.out)
    expected = {"name": "nes", "queries": 56, "sigma": 0.01, "steps": 4, "loss": "logit"}
    assert printed["attack"].items() >= (expected | {"stop_early": True}).items()
    clean, attacked = (result["accuracy"] for result in printed["results"])
    assert attacked <= clean


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (
                "--attack",
                "nes:queries=801",
            ),
            "queries in pairs, got 801",
        ),
        (
            (
                "--attack",
                "nes:queries=4",
            ),
            "queries >= 16 for 8 steps, got 4",
        ),
        (
            (
                "--attack",
                "nes:sigma=0",
            ),
            "sigma in (0, 1], got 0.0",
        ),
        (
            (
                "--attack",
                "nes:loss=hinge",
            ),
            "got 'hinge'",
        ),
        (
            (
                "--attack",
                "pgd:queries=800",
            ),
            "'queries'",
        ),
        (
            (
                "--attack",
                "fgsm:sigma=0.1",
            ),
            "'sigma'",
        ),
        (
            (
                "--attack",
                "pgd:stop_early=true",
            ),
            "'stop_early'",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    program: Program, trained_run: Path, options: tuple[object, ...], message: str
) -> None:
    outcome = program("evaluate", trained_run, *options, "--eps", 0.1)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert message in outcome.err

"""``steadygrad parts``, and what help says of training."""

import json
import re
import shlex
from collections.abc import Iterator

import click
import pytest
import typer

from program import Program
from steadygrad.cli.application import app
from steadygrad.cli.parts import FAMILIES
from steadygrad.training import TrainingConfig, with_recipe


def test_lists_every_part_of_every_family_with_its_settings(program: Program) -> None:
    listed = json.loads(program("parts", "--json").out)
    assert list(listed) == list(FAMILIES)
    for kind, family in FAMILIES.items():
        assert [row["name"] for row in listed[kind]] == list(family.names())
        for row in listed[kind]:
            assert list(row["settings"]) == [s.key for s in family.settings(row["name"])]
            assert row["summary"]
    everything = " ".join(program("parts").out.split())
    for family in FAMILIES.values():
        assert all(name in everything for name in family.names())


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_it_prints_as_defaults_can_be_typed(program: Program, kind: str) -> None:
    (rows,) = json.loads(program("parts", kind, "--json").out).values()
    for row in rows:
        if None in row["settings"].values():
            continue
        family = FAMILIES[kind]
        given = ",".join(
            text if key == getattr(family.get(row["name"]), "positional", None) else f"{key}={text}"
            for key, text in row["settings"].items()
            if not re.search(r"[,:]", text)
        )
        assert family.parse(f"{row['name']}:{given}") == family.parse(row["name"])


def test_one_part_is_shown_in_full(program: Program) -> None:
    said = program("parts", "attack", "pgd").out
    assert "pgd: eps, steps=" in said
    assert "Source:" in said or "arXiv" in said
    assert "fgsm" not in said.partition("\n")[2].partition(":")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("atack",), "unknown family 'atack' (did you mean 'attack'?); choose one of penalty,"),
        (("attack", "pdg"), "unknown attack 'pdg' (did you mean 'pgd'?); choose one of"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(
    program: Program, arguments: tuple[str, ...], message: str
) -> None:
    outcome = program("parts", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_help_of_train_fits_two_screens(program: Program) -> None:
    outcome = program("train", "--help", columns=100)
    lines = outcome.out.rstrip("\n").split("\n")
    assert len(lines) <= 2 * 50, len(lines)
    assert max(map(len, lines)) <= 100


def test_every_setting_of_a_training_has_an_option(program: Program) -> None:
    said = program("train", "--help").out
    options = {"augmentation": "augment", "trackers": "tracker"}
    for name in TrainingConfig.__dataclass_fields__:
        assert f"--{options.get(name, name).replace('_', '-')}" in said


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


GROUP = typer.main.get_command(app)


@pytest.mark.parametrize("path", list(commands(GROUP)), ids=str)
def test_the_examples_in_help_parse(path: tuple[str, ...]) -> None:
    command: click.Command = GROUP
    context = click.Context(GROUP, info_name="steadygrad")
    for name in path:
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    epilog = " ".join((command.epilog or "").split())
    assert epilog.startswith(("Example: steadygrad ", "Examples: steadygrad ")), path
    for typed in re.split(r"\bsteadygrad (?=" + path[0] + r"\b)", epilog)[1:]:
        words = shlex.split(typed.strip().rstrip(";,."))
        assert tuple(words[: len(path)]) == path
        command.make_context(path[-1], words[len(path) :], parent=context.parent)


def test_the_example_of_train_is_a_configuration() -> None:
    (typed,) = re.findall(r"Example: steadygrad train (.*)", GROUP.commands["train"].epilog)
    words = shlex.split(typed)
    given = dict(zip(words[::2], words[1::2], strict=True))
    settings = {"data": given["--dataset"], "model": given["--model"]}
    config = TrainingConfig.from_dict(with_recipe(given["--recipe"], settings))
    assert config.penalty is not None

"""The README and the docs: their Python runs, their commands parse, their links lead somewhere."""

import itertools
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from steadygrad.attacks import ATTACKS
from steadygrad.cli import app
from steadygrad.cli.parts import FAMILIES
from steadygrad.evaluation.masking import DIAGNOSTICS
from steadygrad.training import TrainingConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PLAIN = re.compile(r"```\n(.*?)```", re.DOTALL)
TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(steadygrad [a-z][^`]*)`")
OPTION = re.compile(r"`(--[a-z][^`]*)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")

PART_OF_OPTION = {
    "--penalty": "penalty",
    "--loss": "loss",
    "--augment": "augmentation",
    "--optimizer": "optimizer",
    "--schedule": "schedule",
    "--ramp": "schedule",
    "--mixing": "mixing",
    "--tuning": "tuning",
    "--averaging": "averaging",
    "--clipping": "clipping",
}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=page_id)


@each_page
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for family in (DIAGNOSTICS, ATTACKS):  # what a page registers ends with the page
        for registry in ("_classes", "_names", "_about"):
            monkeypatch.setattr(family, registry, dict(getattr(family, registry)))
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(BLOCK.findall(page.read_text()), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


@each_page
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands_of(text: str) -> list[str]:
    """Return every command of a page, in code blocks and within lines, on one line each."""
    blocks = "\n".join(PLAIN.findall(text)).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in blocks.splitlines()]
    inline = [" ".join(found.split()) for found in INLINE.findall(text)]
    return [line for line in [*lines, *inline] if line.startswith("steadygrad ")]


def known_options(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the command that these words name, and its options by what is typed."""
    command: Any = typer.main.get_command(app)
    name = "steadygrad"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {name} {words[0]}"
        name, command = f"{name} {words[0]}", command.commands[words.pop(0)]
    names = {opt: p for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    return name, names


def check_part(option: str, value: str, **defaults: Any) -> None:
    """Fail if what stands behind an option cannot be read as its part."""
    if option in PART_OF_OPTION and "..." not in value and not value.isupper():
        text = value.replace("=S,", "=1,").replace("=FILE", "=FILE.safetensors")
        FAMILIES[PART_OF_OPTION[option]].parse(text, **defaults)


def check_command(line: str) -> None:
    """Fail if an option is unknown to the program or a part cannot be read."""
    words = shlex.split(line)[1:]
    name, options = known_options(words)
    for word, value in zip(words, [*words, ""][1:], strict=True):
        if not word.startswith("--") or word in ("--help", "--version"):
            continue
        assert word in options, f"{name} has no option {word}: {line}"
        defaults = {"strength": 1.0} if "--paper-lambda" in words else {}
        check_part(word, value, **defaults)
        if word == "--attack" and not value.isupper() and name != "steadygrad covariance":
            ATTACKS.parse(value, eps=0.1)


@each_page
def test_the_program_knows_every_command_of_a_page(page: Path) -> None:
    if page.parent.name == "plugin":
        pytest.skip("the parts of the example package are not installed; tests/test_plugin.py")
    for line in commands_of(page.read_text()):
        check_command(line)


@each_page
def test_an_option_in_the_text_of_a_page_can_be_read(page: Path) -> None:
    for found in OPTION.findall(page.read_text()):
        words = shlex.split(found)
        for word, value in itertools.pairwise(words):
            check_part(word, value, strength=1.0)


@each_page
def test_toml_of_a_page_is_a_training(page: Path) -> None:
    for block in TOML.findall(page.read_text()):
        settings = tomllib.loads(block)
        if "project" not in settings:
            TrainingConfig.from_dict(settings)


def test_old_grammar_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no option --strength"):
        check_command("steadygrad train --penalty gn:strength=1 --strength 0.1 --out a")
    with pytest.raises(AssertionError, match="no command steadygrad trian"):
        check_command("steadygrad trian --out a")

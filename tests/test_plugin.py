"""The example of another package's parts, installed beside steadygrad and used from outside."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import steadygrad

PLUGIN = Path(__file__).parents[1] / "examples" / "plugin"
SOURCE = Path(steadygrad.__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what an installer leaves of the example: package and metadata.

    No build tool is asked for: the entry points are those of its pyproject.toml.
    """
    place = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    for package in (PLUGIN / "src").iterdir():
        shutil.copytree(
            package, place / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    stem = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata = place / stem
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (metadata / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    return place


def outside(
    installed: Path, cwd: Path, *arguments: str, timeout: int = 500
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own that has the example installed."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(installed), str(SOURCE)]),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


FROM_PYTHON = """
import torch
from steadygrad.attacks import ATTACKS, about_attack
from steadygrad.penalties import PENALTIES
from steadygrad.training import TrainingConfig, configuration_digest

assert "checkerboard" in ATTACKS.names() and "logit-decay" in PENALTIES.names()
attack = ATTACKS.parse("checkerboard:eps=8/255,side=2")
assert ATTACKS.text(attack) == "checkerboard:eps=8/255,side=2"
assert about_attack(attack).family == "query" and about_attack("checkerboard").stays_in_ball
from steadygrad_plugin.checkerboard import Checkerboard
from steadygrad_plugin.logit_decay import LogitDecay
assert attack == Checkerboard(eps=8 / 255, side=2) and type(attack) is Checkerboard

config = TrainingConfig.from_toml("TOML")
assert config == TrainingConfig(
    data="digits", model="digits-gelu", penalty=LogitDecay(strength=0.01), attack=attack,
    epochs=1, limit_train=64,
)
assert TrainingConfig.from_dict(config.to_dict()) == config
assert len(configuration_digest(config)) == 64

images, labels = torch.rand(3, 1, 4, 4), torch.arange(3)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 10))
moved = attack(net, images, labels)
assert 0 < (moved - images).abs().max() <= 8 / 255 + 1e-6
result = config.penalty(net, images, labels)
torch.testing.assert_close(result.penalty, 0.01 * net(images).square().mean())
"""


COMMANDS = """
import sys
from steadygrad.cli import main

for name, *arguments in STEPS:
    print(f"#### {name}", flush=True)
    sys.argv = ["steadygrad", *arguments]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (name, stop.code)
"""
SMALL = "--dataset digits --model digits-gelu --limit-train 64 --epochs 1"
STEPS = [
    line.split()
    for line in f"""
    toml train --config {PLUGIN / "train.toml"} --out of-toml
    list parts attack checkerboard
    train train {SMALL} --penalty logit-decay:strength=0.01 --out of-options
    evaluate evaluate of-toml --attack checkerboard:side=2 --eps 0,0.2 --limit 40 --json
    audit audit of-toml --eps 0.1 --attack checkerboard --budget quick --limit 20 --out audit
    experiment experiment run logit-decay/digits --scale smoke --seeds 2 --networks nets --out found
    listed experiment list
    """.strip().splitlines()
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def printed(installed: Path, place: Path) -> dict[str, str]:
    """What the library in Python and each command printed, one after the other in one process."""
    python = FROM_PYTHON.replace("TOML", str(PLUGIN / "train.toml"))
    done = outside(
        installed, place, "-c", python + COMMANDS.replace("STEPS", repr(STEPS)), timeout=900
    )
    parts = done.stdout.split("#### ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def test_a_program_without_the_package_lists_what_there_is(tmp_path: Path) -> None:
    done = outside(tmp_path, tmp_path, "-m", "steadygrad", "parts", "attack", "--json")
    assert "checkerboard" not in done.stdout


def config_of(run: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((run / "config.json").read_text())
    return read


def test_both_parts_from_python_and_from_every_command(printed: dict[str, str]) -> None:
    assert list(printed) == [name for name, *_ in STEPS]


@pytest.mark.usefixtures("printed")
def test_the_toml_file_trains_and_the_run_says_how(place: Path) -> None:
    config = config_of(place / "of-toml")
    assert config["penalty"] == {"name": "logit-decay", "strength": 0.01}
    assert config["attack"] == {"name": "checkerboard", "eps": 8 / 255, "side": 2}
    lines = (place / "of-toml" / "metrics.jsonl").read_text().splitlines()
    (metrics,) = map(json.loads, lines)
    assert metrics["penalty"] > 0


def test_the_command_line_trains_lists_and_evaluates(printed: dict[str, str], place: Path) -> None:
    assert "checkerboard: eps, side=1" in printed["list"]
    penalty = config_of(place / "of-options")["penalty"]
    assert penalty == {"name": "logit-decay", "strength": 0.01}
    evaluated = json.loads(printed["evaluate"])
    assert (evaluated["attack"]["name"], evaluated["attack"]["side"]) == ("checkerboard", 2)
    assert len(evaluated["results"]) == 2


@pytest.mark.usefixtures("printed")
def test_an_audit_takes_the_attack_in(place: Path) -> None:
    assert "checkerboard" in (place / "audit" / "audit.json").read_text()


def test_its_experiment_trains_both_networks_of_two_seeds(
    printed: dict[str, str], place: Path
) -> None:
    assert "logit-decay/digits: digits with logit decay and without" in printed["experiment"]
    assert "digits with logit decay and without (package steadygrad-plugin-" in printed["listed"]
    folder = place / "found" / "logit-decay" / "digits" / "smoke"
    table = (folder / "accuracies.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [
        ["plain", "0"], ["logit decay", "0"], ["plain", "1"], ["logit decay", "1"],
    ]  # fmt: skip
    record = json.loads((folder / "experiment.json").read_text())
    assert [network["label"] for network in record["networks"]] == ["plain", "logit decay"] * 2


LAWS = ["tests/test_part_families.py", "tests/attacks/test_laws.py"]


def test_its_parts_take_part_in_the_laws_of_all_parts(installed: Path) -> None:
    root = Path(__file__).parents[1]
    done = outside(
        installed, root, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", *LAWS,
        "-k", "checkerboard or logit",
    )  # fmt: skip
    assert " passed" in done.stdout or "[100%]" in done.stdout

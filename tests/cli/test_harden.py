"""``steadygrad harden``: several radii, refusals, and going on after an interruption."""

import hashlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from program import Program, replaced
from steadygrad.errors import HyperparameterError
from steadygrad.training.loop import TrainingLoop

NETWORKS = """
import torch
from torch import nn

def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 10))

NET = plain()

def cached():
    return NET

def softmax():
    return nn.Sequential(plain(), nn.Softmax(1))

def frozen():
    return plain().requires_grad_(False)

def compiled():
    return torch.compile(plain(), backend="eager")
"""
FEW = ("--dataset", "digits", "--epochs", 1, "--limit-train", 64, "--report-images", 8)
QUICK = (*FEW, "--no-audit")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hardened_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hardened_networks", raising=False)
    return tmp_path


def network(name: str) -> str:
    return f"hardened_networks:{name}"


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["NET", "cached"])
def test_every_radius_starts_from_the_given_network(
    program: Program, place: Path, name: str
) -> None:
    done = program("harden", network(name), *QUICK, "--eps", "0.05,0.1", "--out", "out")
    assert done.code == 0, done.err
    first, second = (place / "out" / each for each in ("eps-12.75-255", "eps-25.5-255"))
    originals = [digests(each)["original.safetensors"] for each in (first, second)]
    assert originals[0] == originals[1]


def test_lengths_are_no_fractions_of_255_and_none_is_cut(program: Program, place: Path) -> None:
    arguments = ("--eps", "0.25,0.5", "--norm", "l2", "--out", "out")
    done = program("harden", network("plain"), *QUICK, *arguments, columns=40)
    assert done.code == 0, done.err
    table = done.out.partition("By radius, on validation images\n")[2]
    assert "0.25 (L2)" in table and "0.5 (L2)" in table
    assert "/255" not in table and "…" not in table
    assert {each.name for each in (place / "out").iterdir()} == {"eps-0.25", "eps-0.5"}


def test_other_weights_without_overwrite_leave_the_original_alone(
    program: Program, place: Path
) -> None:
    arguments = ("harden", network("plain"), *QUICK, "--eps", "0.1", "--out", "out")
    assert program(*arguments).code == 0
    before = digests(place / "out")
    others = ("--weights", "out/export/state_dict.pt")
    refused = program(*arguments, *others)
    assert refused.code == 2 and "is not empty" in refused.err
    assert digests(place / "out") == before
    resumed = program(*arguments, "--resume")
    assert resumed.code == 0, resumed.err


def test_no_radius_is_trained_where_a_later_one_is_refused(program: Program, place: Path) -> None:
    cases = {
        "0.05,7": "did you mean 7/255",
        "0.05,0": "expected eps > 0",
        "0.1,0.1": "which both are eps-25.5-255",
        "0.05,0.050001": "got 0.05 and 0.050001, which both are eps-12.75-255",
    }
    for radii, sentence in cases.items():
        refused = program("harden", network("plain"), *QUICK, "--eps", radii, "--out", "out")
        assert refused.code == 2 and sentence in " ".join(refused.err.split())
        assert not (place / "out").exists()
    second = place / "out" / "eps-25.5-255" / "run"
    second.mkdir(parents=True)
    (second / "metrics.jsonl").touch()
    refused = program("harden", network("plain"), *QUICK, "--eps", "0.05,0.1", "--out", "out")
    assert refused.code == 2 and "is not empty" in refused.err
    assert [each.name for each in (place / "out").iterdir()] == ["eps-25.5-255"]


def test_an_interrupted_series_goes_on_with_the_radii_that_never_began(
    program: Program, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TrainingLoop._begin

    def interrupted(self: Any) -> None:
        original(self)
        signal.raise_signal(signal.SIGINT)

    arguments = ("harden", network("plain"), *QUICK, "--eps", "0.05,0.1", "--out", "out")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_begin", interrupted)
        assert program(*arguments).code == 130
    done = program(*arguments, "--resume")
    assert done.code == 0, done.err
    assert "By radius" in done.out and "there is nothing to resume in" in done.err


def test_probabilities_are_refused_before_the_training(program: Program, place: Path) -> None:
    arguments = ("harden", network("softmax"), *FEW, "--eps", "0.1", "--out", "out")
    refused = program(*arguments)
    assert refused.code == 2 and "accept probabilities" in " ".join(refused.err.split())
    assert not (place / "out").exists()
    checked = program("check-model", network("softmax"), "--shape", "1x8x8")
    assert checked.code == 2 and "probabilities, not logits" in checked.out
    unknown = program(*arguments, "--accept", "everything")
    assert unknown.code == 2 and "a problem that can be accepted" in unknown.err


def test_a_refused_replacement_keeps_what_was_there(program: Program, place: Path) -> None:
    arguments = ("--eps", "0.1", "--out", "out", "--overwrite")
    assert program("harden", network("plain"), *QUICK, *arguments).code == 0
    before = digests(place / "out")
    for name, more in (("plain", ("--augment", "crop:99")), ("frozen", ())):
        refused = program("harden", network(name), *QUICK, *arguments, *more)
        assert refused.code == 2, refused.out
        assert digests(place / "out") == before
    assert "requires_grad is False for all" in refused.err


def test_settings_that_mean_nothing_are_refused_at_once(program: Program, place: Path) -> None:
    cases: dict[tuple[Any, ...], str] = {
        ("--trials", 99): "expected --target along with --trials",
        ("--storage", "sqlite:///x.db"): "expected --target along with --storage",
        ("--report-images", 0): "expected report_images >= 1, got 0",
        ("--epochs", 0): "expected epochs >= 1, got 0",
    }
    for more, sentence in cases.items():
        arguments = ("harden", network("plain"), *QUICK, "--eps", "0.1", "--out", "out")
        refused = program(*replaced(arguments, more))
        assert refused.code == 2 and sentence in refused.err
    assert not (place / "out").exists()


def test_a_builder_s_compiled_network_has_its_own_keys_and_loads_again(
    program: Program, place: Path
) -> None:
    done = program("harden", network("compiled"), *QUICK, "--eps", "0.1", "--out", "out")
    assert done.code == 0, done.err
    state = torch.load(place / "out" / "export" / "state_dict.pt", weights_only=True)
    assert [*state] == ["1.weight", "1.bias", "3.weight", "3.bias"]
    weights = ("--weights", "out/run/model.safetensors")
    again = program("evaluate", network("compiled"), *weights, "--dataset", "digits", "--limit", 8)
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("more", "attack"),
    [((), "pgd:steps=8"), (("--norm", "l2"), "pgd:steps=8,norm=l2")],
)
def test_the_command_that_is_printed_last_measures_the_hardened_network(
    program: Program, place: Path, more: tuple[str, ...], attack: str
) -> None:
    arguments = ("digits-gelu", *QUICK, "--eps", "10/255", *more, "--out", "hd")
    done = program("harden", *arguments)
    assert done.code == 0, done.err
    proposed = done.err.splitlines()[-1].removeprefix("next: steadygrad ")
    assert proposed == f"evaluate hd/run --attack {attack} --eps 0,10/255"
    measured = program(*proposed.split(), "--limit", 8)
    assert measured.code == 0, measured.err


def test_each_radius_of_own_code_has_a_command_that_names_the_code(
    program: Program, place: Path
) -> None:
    done = program("harden", network("plain"), *QUICK, "--eps", "1/255, 2/255", "--out", "hd")
    assert done.code == 0, done.err
    first, second = done.err.splitlines()[-2:]
    named = f"next: steadygrad evaluate {network('plain')} --weights hd/eps-"
    assert first.startswith(f"{named}1-255/run/") and first.endswith("--eps 0,1/255")
    assert second.startswith(f"{named}2-255/run/") and second.endswith("--eps 0,2/255")


def test_data_lie_where_those_of_the_run_did_unless_it_is_said(
    program: Program, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "earlier").mkdir()
    config = {"data": f"mnist:data_dir={place}/run", "model": "digits-gelu", "created": ""}
    (place / "earlier" / "config.json").write_text(json.dumps(config))
    places = []

    def only_told(model: str, data: Any, **settings: Any) -> None:
        places.append(data.data_dir)
        raise HyperparameterError("enough")

    monkeypatch.setattr("steadygrad.cli.harden.harden", only_told)
    for more in (
        ("earlier", "--dataset", "mnist"),
        ("earlier", "--dataset", "mnist", "--data-dir", f"{place}/option"),
        ("earlier", "--dataset", f"mnist:data_dir={place}/part"),
        (network("plain"), "--dataset", "mnist"),
    ):
        assert "enough" in program("harden", *more, "--eps", "0.1", "--out", "hd").err
    assert places == [place / "run", place / "option", place / "part", None]

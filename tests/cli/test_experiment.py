"""``steadygrad experiment``: plans with their minutes, shared out, run and shown."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from announced_experiments import Theirs, announce
from digits_recipe import DIGITS
from program import Program
from steadygrad.cli.terminal import INTERRUPTED
from steadygrad.experiments import (
    Chart,
    Experiment,
    ExperimentOutcome,
    Network,
    Scale,
    Workbench,
    catalogue,
)
from steadygrad.experiments.yeats2021.recipes import Recipe

NAME = "yeats2021/made-up"


class MadeUp:
    """Three networks of digits; measures their clean accuracy, and says how many they are."""

    name = NAME
    title = "three small networks"

    def networks(self, scale: Scale, seeds: tuple[int, ...]) -> tuple[Network, ...]:
        recipe: Recipe = replace(DIGITS, settings={**DIGITS.settings, "epochs": 1})
        kinds = ("real", "gelu", "complex")
        full = [recipe.plain(kind, seed=seed) for seed in seeds for kind in kinds]
        return tuple(
            Network(n.label, replace(scale.shrink(n.config), limit_train=64)) for n in full
        )

    def printed_paths(self) -> tuple[str, ...]:
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        there = bench.measurable(self.networks(bench.scale, bench.seeds))
        for network in there:
            bench.clean_accuracy(network)
        charts: dict[str, list[Chart]] = {}
        return ExperimentOutcome(caption=f"{len(there)} networks", charts=charts)


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    experiments: dict[str, Experiment] = {**catalogue._experiments(), NAME: MadeUp()}
    monkeypatch.setattr(catalogue, "_experiments", lambda: experiments)


def run(program: Program, folder: Path, *more: object) -> Any:
    places = ("--networks", folder / "networks", "--out", folder / "results")
    return program("experiment", "run", NAME, "--scale", "smoke", *places, *more)


def listed(program: Program, folder: Path) -> dict[str, Any]:
    places = ("--networks", folder / "networks", "--out", folder / "results")
    outcome = program("experiment", "list", *places, "--json")
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = next(row for row in json.loads(outcome.out) if row["name"] == NAME)
    return found


def test_the_list_has_networks_and_minutes_at_each_scale(program: Program, tmp_path: Path) -> None:
    outcome = program("experiment", "list", "--networks", tmp_path, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    table = outcome.out.partition("\n\n")[0]
    lines = {line.split()[0]: line for line in table.splitlines()}
    assert lines["name"].split() == ["name", "smoke", "quick", "paper"]
    assert lines["yeats2021/table1"].split()[1:] == ["none", "none", "none"]
    assert lines[NAME].split()[1:] == ["3/3", "?"] * 3
    assert "minutes" in outcome.out


def test_the_list_fits_80_columns(program: Program, tmp_path: Path) -> None:
    outcome = program("experiment", "list", "--networks", tmp_path, "--out", tmp_path)
    table = outcome.out.partition("\n\n")[0]
    assert max(len(line.rstrip()) for line in table.splitlines()) <= 80


def test_the_list_says_what_is_of_another_package(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(monkeypatch, {"theirs/figure1": Theirs("theirs/figure1")})
    places = ("--networks", tmp_path, "--out", tmp_path)
    listing = " ".join(program("experiment", "list", *places).out.split())
    assert "theirs/figure1 a figure of another package (package their_package:object0)" in listing
    packages = {
        row["name"]: row["package"]
        for row in json.loads(program("experiment", "list", *places, "--json").out)
    }
    assert packages["theirs/figure1"] == "their_package:object0"
    assert packages[NAME] is None


@pytest.mark.filterwarnings("default")
def test_a_package_that_cannot_say_its_networks_hides_no_other_experiment(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Theirs):
        def networks(self, scale: Scale, seeds: tuple[int, ...]) -> tuple[Network, ...]:
            raise KeyError("epochs")

    broken, clash = Broken("theirs/broken"), Theirs(NAME)
    announce(monkeypatch, {"theirs/broken": broken, "theirs/gone": None, NAME: clash})
    outcome = program("experiment", "list", "--networks", tmp_path, "--out", tmp_path, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)[-1]["name"] == NAME
    lines = outcome.err.splitlines()
    assert len(lines) == 3
    assert f"'{NAME}' of the package their_package:object2 is left out" in lines[0]
    assert lines[0].startswith("warning: ")
    assert lines[1].startswith("warning: the experiment 'theirs/gone' of the package")
    assert "theirs/broken of the package their_package:object0 cannot be listed" in lines[2]


def test_json_names_every_folder_of_every_plan(program: Program, tmp_path: Path) -> None:
    row = listed(program, tmp_path)
    assert row["networks"] == row["missing"] == {"smoke": 3, "quick": 3, "paper": 3}
    folders = [network["folder_name"] for network in row["plan"]["smoke"]]
    assert len(set(folders)) == 3
    assert {network["is_trained"] for network in row["plan"]["smoke"]} == {False}


def test_a_dry_run_trains_nothing_and_sums_the_minutes(program: Program, tmp_path: Path) -> None:
    outcome = run(program, tmp_path, "--dry-run")
    assert outcome.code == 0
    assert outcome.out.count("to train  digits-") == 3
    assert "3 of 3 networks to train: ? of ? minutes on one core" in outcome.out
    assert not (tmp_path / "networks").exists()
    planned = program("experiment", "run", "yeats2021/figure6", "--dry-run", "--networks", tmp_path)
    *networks, total = planned.out.splitlines()
    minutes = [float(line.split(" min")[0].split()[-1].replace(",", "")) for line in networks]
    said = float(total.partition(": ")[2].split()[0].replace(",", ""))
    assert said == pytest.approx(sum(minutes), rel=0.05)


def test_shards_train_their_parts_and_the_whole_run_measures(
    program: Program, tmp_path: Path
) -> None:
    first = run(program, tmp_path, "--shard", "1/2")
    assert first.code == 0, first.err
    assert "nothing was measured" in " ".join(first.err.split())
    assert not (tmp_path / "results").exists()
    row = listed(program, tmp_path)
    trained = [network["is_trained"] for network in row["plan"]["smoke"]]
    assert trained == [True, False, True]
    assert row["missing"]["smoke"] == 1

    again = run(program, tmp_path, "--shard", "1/2", "--dry-run")
    assert "0 of 2 networks to train: 0 of 0.0 minutes" in again.out
    assert run(program, tmp_path, "--shard", "2/2").code == 0
    assert listed(program, tmp_path)["minutes_missing"]["smoke"] == 0

    whole = run(program, tmp_path)
    assert whole.code == 0, whole.err
    assert "3 networks" in whole.out
    assert listed(program, tmp_path)["results"] == ["smoke"]
    shown = program("experiment", "show", NAME, "--scale", "smoke", "--out", tmp_path / "results")
    assert "3 networks" in shown.out


def test_only_trained_measures_what_is_there(program: Program, tmp_path: Path) -> None:
    refused = run(program, tmp_path, "--only-trained")
    assert refused.code == 2
    assert "has none of the networks" in " ".join(refused.err.split())
    run(program, tmp_path, "--shard", "2/3")
    assert "1 networks" in run(program, tmp_path, "--only-trained").out
    (comparison,) = (tmp_path / "results").rglob("comparison.md")
    said = comparison.read_text()
    assert "With the 1 of 3 networks that are trained so far" in said
    assert said.count("(seed ") == 2


def test_when_the_minutes_are_over_what_is_trained_is_measured(
    program: Program, tmp_path: Path
) -> None:
    assert run(program, tmp_path, "--minutes", 0).code == 2
    nothing = run(program, tmp_path, "--minutes", 1e-6)
    assert nothing.code == INTERRUPTED
    assert "stopped; the same command continues" in nothing.err
    run(program, tmp_path, "--shard", "1/3")
    some = run(program, tmp_path, "--minutes", 1e-6)
    assert some.code == 0, some.err
    assert "the time for training is over; the same command goes on" in " ".join(some.err.split())
    assert "1 networks" in some.out
    assert "3 networks" in run(program, tmp_path, "--minutes", 10).out


def measured(file: Path) -> dict[str, list[object]]:
    """The answers in a file of measurements, by network."""
    found: dict[str, list[object]] = {}
    for answer in json.loads(file.read_text())["answers"]:
        found.setdefault(answer["key"]["network"], []).append(answer)
    return found


def test_what_was_measured_counts_when_the_networks_are_gone(
    program: Program, tmp_path: Path
) -> None:
    run(program, tmp_path, "--shard", "1/3")
    alone = run(program, tmp_path, "--only-trained")
    assert "1 networks" in alone.out
    (kept,) = (tmp_path / "results").rglob("measurements.json")
    before = measured(kept)
    shutil.rmtree(tmp_path / "networks")

    plan = run(program, tmp_path, "--keep-measured", "--dry-run").out
    assert plan.count("measured  digits-") == 1
    assert "2 of 3 networks to train" in plan
    whole = run(program, tmp_path, "--keep-measured")
    assert whole.code == 0, whole.err
    assert "3 networks" in whole.out
    assert len(list((tmp_path / "networks").glob("digits-*"))) == 2
    assert (
        "taken over from it: real, no defence (seed 0)"
        in (kept.parent / "comparison.md").read_text()
    )
    after = measured(kept)
    assert len(after) == 3
    assert before.items() <= after.items()

    shutil.rmtree(tmp_path / "networks")
    again = run(program, tmp_path, "--keep-measured", "--only-trained")
    assert "3 networks" in again.out
    assert measured(kept) == after

    content, other = json.loads(kept.read_text()), "f" * 64
    of_one = [a for a in content["answers"] if a["key"]["network"] == min(after)]
    content["answers"] += [{**a, "key": {**a["key"], "network": other}} for a in of_one]
    kept.write_text(json.dumps(content))
    beside = run(program, tmp_path, "--keep-measured", "--only-trained")
    assert "3 networks" in beside.out
    assert measured(kept).keys() == after.keys() | {other}

    run(program, tmp_path, "--shard", "3/3")
    fewer = run(program, tmp_path, "--only-trained")
    assert "3 networks that are not available here" in " ".join(fewer.err.split())
    assert len(measured(kept)) == 1


def test_a_damaged_record_hides_no_other_experiment(program: Program, tmp_path: Path) -> None:
    run(program, tmp_path)
    (record,) = (tmp_path / "results").rglob("experiment.json")
    record.write_text("{")
    assert listed(program, tmp_path)["results"] == []
    outcome = program("experiment", "list", "--out", tmp_path / "results")
    assert "is damaged" in outcome.err and "listed as not run" in outcome.err


@pytest.mark.parametrize("missing", ["caption", "compared", "figures"])
def test_a_record_that_lacks_something_is_named(
    program: Program, tmp_path: Path, missing: str
) -> None:
    run(program, tmp_path)
    (path,) = (tmp_path / "results").rglob("experiment.json")
    record = json.loads(path.read_text())
    del record[missing]
    path.write_text(json.dumps(record))
    outcome = program("experiment", "show", NAME, "--scale", "smoke", "--out", tmp_path / "results")
    assert outcome.code == 2
    assert f"experiment.json is damaged: it has no '{missing}'" in " ".join(outcome.err.split())


def test_a_damaged_network_hides_no_experiment(program: Program, tmp_path: Path) -> None:
    run(program, tmp_path, "--shard", "1/3")
    (config,) = (tmp_path / "networks").glob("*/config.json")
    config.write_text("{")
    outcome = program("experiment", "list", "--networks", tmp_path / "networks", "--json")
    assert outcome.code == 0
    (row,) = [row for row in json.loads(outcome.out) if row["name"] == NAME]
    assert row["missing"]["smoke"] == 3
    assert outcome.err.count("listed as not trained") == 1


def test_an_absent_device_is_refused_before_any_training(program: Program, tmp_path: Path) -> None:
    outcome = run(program, tmp_path, "--device", "foo")
    assert outcome.code == 2 and not (tmp_path / "networks").exists()


def test_a_file_in_the_place_of_results_is_refused_before_any_training(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("")
    outcome = run(program, tmp_path)
    assert outcome.code == 2 and "results is a file" in " ".join(outcome.err.split())
    assert not (tmp_path / "networks").exists()


def test_damaged_measurements_are_named(program: Program, tmp_path: Path) -> None:
    run(program, tmp_path, "--shard", "1/3")
    run(program, tmp_path, "--only-trained")
    (kept,) = (tmp_path / "results").rglob("measurements.json")
    kept.write_text("{")
    outcome = run(program, tmp_path, "--keep-measured", "--only-trained")
    assert outcome.code == 2
    assert "measurements.json is damaged" in " ".join(outcome.err.split())
    assert run(program, tmp_path, "--only-trained").code == 0
    assert measured(kept)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", ""])
def test_a_wrong_shard_is_refused(program: Program, tmp_path: Path, shard: str) -> None:
    outcome = run(program, tmp_path, f"--shard={shard}")
    assert outcome.code == 2
    said = " ".join(outcome.err.split())
    assert f"expected a shard K/N with K from 1 to N, such as 1/4, got {shard!r}" in said
    assert not (tmp_path / "networks").exists()


def test_a_shard_cannot_train_nothing(program: Program, tmp_path: Path) -> None:
    outcome = run(program, tmp_path, "--shard", "1/2", "--only-trained")
    assert outcome.code == 2
    assert "choose one of them" in " ".join(outcome.err.split())


def test_results_that_are_not_there_say_how_to_make_them(program: Program, tmp_path: Path) -> None:
    outcome = program("experiment", "show", NAME, "--out", tmp_path)
    assert outcome.code == 2
    assert f"steadygrad experiment run {NAME} --scale quick" in " ".join(outcome.err.split())


@pytest.mark.parametrize(("exit_code", "code"), [(0, 0), (1, 2)])
def test_figures_are_opened_in_the_desktops_viewer(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exit_code: int, code: int
) -> None:
    opened: list[str] = []

    def launch(path: str, *, wait: bool) -> int:
        assert wait  # only then is its answer the viewer's
        opened.append(path)
        return exit_code

    monkeypatch.setattr(typer, "launch", launch)
    places = ("yeats2021/figure1", "--scale", "smoke", "--out", tmp_path)
    assert program("experiment", "run", *places).code == 0
    assert program("experiment", "show", *places).code == 0
    assert not opened
    outcome = program("experiment", "show", *places, "--open")
    assert outcome.code == code
    assert [Path(path).name for path in opened] == ["figure1.png"]
    assert ("no viewer on this machine opens" in " ".join(outcome.err.split())) == (code == 2)
    Path(opened[0]).unlink()
    outcome = program("experiment", "show", *places, "--open")
    assert outcome.code == 2
    assert "figure1.png is missing" in outcome.err.replace("\n", "")
    assert len(opened) == 1


def test_an_experiment_without_figures_opens_none(program: Program, tmp_path: Path) -> None:
    run(program, tmp_path)
    places = (NAME, "--scale", "smoke", "--out", tmp_path / "results")
    outcome = program("experiment", "show", *places, "--open")
    assert outcome.code == 0
    assert "nothing to open" in " ".join(outcome.err.split())

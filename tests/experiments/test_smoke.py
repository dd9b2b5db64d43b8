"""Every experiment is planned, and run whole at smoke scale; of many networks, as a slow test."""

import csv
from pathlib import Path

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.experiments import (
    SCALES,
    NetworkStore,
    experiment_by_name,
    experiment_names,
    planned_networks,
    scale_by_name,
)
from steadygrad.models import MODELS, build_model, parameter_count
from steadygrad.reports.experiments import read_record
from steadygrad.training import Constant, MultiStep
from written_results import written_results


def test_names_are_unique_and_every_plan_can_be_made() -> None:
    assert len(set(experiment_names())) == len(experiment_names())
    models = set()
    for name in experiment_names():
        for scale in SCALES.values():
            planned = planned_networks(experiment_by_name(name), scale, (0, 1), None)
            assert len({network.digest for network in planned}) == len(planned)
            models.update(MODELS.text(network.config.model) for network in planned)
    for model in models:
        MODELS.parse(model).build()


def test_smaller_scales_train_less_and_drop_the_rate_within_the_run() -> None:
    experiment = experiment_by_name("yeats2021/figure6")
    for smaller, larger in (("smoke", "quick"), ("quick", "paper")):
        for small, large in zip(
            experiment.networks(scale_by_name(smaller), (0,)),
            experiment.networks(scale_by_name(larger), (0,)),
            strict=True,
        ):
            assert small.label == large.label
            assert small.config.epochs < large.config.epochs
            schedule = small.config.schedule
            if isinstance(schedule, MultiStep):
                assert all(drop < small.config.epochs for drop in schedule.at)
            else:
                assert schedule == Constant()


def test_seeds_must_be_distinct() -> None:
    experiment = experiment_by_name("yeats2021/figure6")
    with pytest.raises(HyperparameterError, match=r"distinct seeds, at least one, got \[0, 0\]"):
        planned_networks(experiment, scale_by_name("smoke"), (0, 0), None)


MANY = 4
"""An experiment of more networks is a slow test: each takes seconds even at this scale. What is
made of the networks, the tests of each kind of figure see on a few small ones."""
LONG = ("recipe/mnist-choice", "recipe/mnist-autoattack")
"""Of long attacks: minutes each."""


def is_slow(name: str) -> bool:
    networks = experiment_by_name(name).networks(scale_by_name("smoke"), (0,))
    return name in LONG or len(networks) > MANY


@pytest.fixture(scope="module")
def shared_networks(tmp_path_factory: pytest.TempPathFactory) -> NetworkStore:
    return NetworkStore(tmp_path_factory.mktemp("networks"))


@pytest.mark.real_data
# One step of a network of beta 2048: its penalty is many times its loss, as in the paper.
@pytest.mark.filterwarnings("ignore:the penalty of the first batch")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if is_slow(name) else [])
        for name in experiment_names()
    ],
)
def test_every_experiment_runs_whole_at_smoke_scale(
    name: str, shared_networks: NetworkStore, tmp_path: Path, real_data: Path
) -> None:
    experiment, smoke = experiment_by_name(name), scale_by_name("smoke")
    folder = written_results(
        experiment,
        scale=smoke,
        seeds=(0,),
        store=shared_networks,
        out=tmp_path,
        data_dir=real_data,
    )
    record = read_record(folder)
    assert record is not None
    assert record["figures"] or record["tables"]
    for figure in record["figures"]:
        assert (folder / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / f"{figure}.svg").read_text()
    for table in record["tables"]:
        with (folder / f"{table}.csv").open() as file:
            header, *rows = csv.reader(file)
        assert all(len(row) == len(header) for row in rows)
        assert (folder / f"{table}.md").read_text().startswith("# ")
    assert {entry["path"] for entry in record["compared"]} == set(experiment.printed_paths())
    quantities = [entry["quantity"] for entry in record["compared"]]
    assert len(set(quantities)) == len(quantities)
    if experiment.networks(smoke, (0,)):
        assert {entry["verdict"] for entry in record["compared"]} <= {"not comparable"}


def test_table1_says_what_was_counted_and_what_is_printed(tmp_path: Path) -> None:
    folder = written_results(
        experiment_by_name("yeats2021/table1"),
        scale=scale_by_name("paper"),
        seeds=(0,),
        store=NetworkStore(tmp_path / "networks"),
        out=tmp_path,
    )
    assert folder == tmp_path / "yeats2021" / "table1" / "paper"
    record = read_record(folder)
    assert record is not None
    assert record["verdicts"] == {"reproduced": 12, "differs": 6, "not comparable": 0}
    with (folder / "table1.csv").open() as file:
        rows = {(row["kind"], row["network"]): row for row in csv.DictReader(file)}
    counted = parameter_count(build_model("yeats2021-mnist-complex"))
    assert int(rows["complex", "mnist"]["parameters"]) == counted
    assert rows["complex", "mnist"]["parameters printed"] == "208718"
    assert rows["complex", "mnist"]["parameters with the slips"] == "208718"
    assert "differs" in (folder / "comparison.md").read_text()


def test_figure3_is_drawn(tmp_path: Path) -> None:
    folder = written_results(
        experiment_by_name("yeats2021/figure3"),
        scale=scale_by_name("paper"),
        seeds=(0,),
        store=NetworkStore(tmp_path / "networks"),
        out=tmp_path,
    )
    assert (folder / "figure3.png").read_bytes().startswith(b"\x89PNG")
    assert "identity" in (folder / "figure3.svg").read_text()

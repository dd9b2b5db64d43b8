"""Experiments that train nothing run whole; the others are planned, and one is run on real data."""

import csv
from pathlib import Path

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.experiments import (
    SCALES,
    NetworkStore,
    experiment_by_name,
    experiment_names,
    scale_by_name,
)
from steadygrad.models import build_model, parameter_count
from steadygrad.reports.experiments import planned_networks, read_record, run_experiment


def test_names_are_unique_and_every_plan_can_be_made() -> None:
    assert len(set(experiment_names())) == len(experiment_names())
    for name in experiment_names():
        for scale in SCALES.values():
            planned = planned_networks(experiment_by_name(name), scale, (0, 1), None)
            assert len({network.digest for network in planned}) == len(planned)
            for network in planned:
                build_model(network.config.model)


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
            assert all(drop < small.config.epochs for drop in small.config.drop_at)


def test_seeds_must_be_distinct() -> None:
    experiment = experiment_by_name("yeats2021/figure6")
    with pytest.raises(HyperparameterError, match=r"distinct seeds, at least one, got \[0, 0\]"):
        planned_networks(experiment, scale_by_name("smoke"), (0, 0), None)


def test_table1_says_what_was_counted_and_what_is_printed(tmp_path: Path) -> None:
    folder = run_experiment(
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
    folder = run_experiment(
        experiment_by_name("yeats2021/figure3"),
        scale=scale_by_name("paper"),
        seeds=(0,),
        store=NetworkStore(tmp_path / "networks"),
        out=tmp_path,
    )
    assert folder is not None
    assert (folder / "figure3.png").read_bytes().startswith(b"\x89PNG")
    assert "identity" in (folder / "figure3.svg").read_text()

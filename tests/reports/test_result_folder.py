"""The folder of one experiment at one scale: what a second run leaves of the first."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from steadygrad.errors import HyperparameterError
from steadygrad.experiments import (
    ExperimentOutcome,
    ExperimentRecord,
    Interval,
    LineChart,
    Network,
    Series,
    Table,
)
from steadygrad.reports.experiments import read_record, write_experiment
from steadygrad.training import TrainingConfig

CHART = LineChart(
    title="a", x_label="x", y_label="y", series=(Series(label="s", x=(0.0, 1.0), y=(0.0, 1.0)),)
)
TABLE = Table(title="t", columns=("network",), rows=(("complex",),))
FIGURE_FILES = {"curve.png", "curve.svg"}
ALWAYS = {"comparison.md", "experiment.json"}


def outcome(*, charts: tuple[str, ...] = (), tables: tuple[str, ...] = ()) -> ExperimentOutcome:
    return ExperimentOutcome(
        caption="c",
        charts=dict.fromkeys(charts, (CHART,)),
        tables=dict.fromkeys(tables, TABLE),
    )


def written(
    folder: Path,
    found: ExperimentOutcome,
    networks: tuple[Network, ...] = (),
    untrained: tuple[Network, ...] = (),
) -> set[str]:
    record = ExperimentRecord(
        name="n",
        title="t",
        scale="smoke",
        seeds=(0,),
        networks=networks,
        untrained=untrained,
        seconds=1.0,
        training_seconds=0.0,
    )
    write_experiment(folder, found, record)
    return {path.name for path in folder.iterdir()}


def test_what_the_new_run_does_not_make_is_removed(tmp_path: Path) -> None:
    first = written(tmp_path, outcome(charts=("curve",), tables=("rows", "more")))
    assert first == ALWAYS | FIGURE_FILES | {"rows.csv", "rows.md", "more.csv", "more.md"}
    second = written(tmp_path, outcome(tables=("rows",)))
    assert second == ALWAYS | {"rows.csv", "rows.md"}


def test_files_that_no_run_made_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path, outcome(charts=("curve",)))
    (tmp_path / "notes.md").write_text("mine")
    assert written(tmp_path, outcome()) == ALWAYS | {"notes.md"}


@pytest.mark.parametrize("record", ["{", "[]", '{"figures": 3, "tables": []}'])
def test_a_damaged_record_is_replaced_and_nothing_removed(tmp_path: Path, record: str) -> None:
    written(tmp_path, outcome(charts=("curve",)))
    (tmp_path / "experiment.json").write_text(record)
    assert written(tmp_path, outcome()) == ALWAYS | FIGURE_FILES
    sound = read_record(tmp_path)
    assert sound is not None
    assert sound["figures"] == []


def test_a_record_that_names_files_elsewhere_removes_none(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    folder = tmp_path / "results"
    written(folder, outcome())
    values = json.loads((folder / "experiment.json").read_text()) | {"tables": ["../mine"]}
    (folder / "experiment.json").write_text(json.dumps(values))
    written(folder, outcome())
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_the_comparison_names_the_seeds_of_the_networks_that_were_measured(tmp_path: Path) -> None:
    written(tmp_path, outcome())
    assert "Seeds: 0." in (tmp_path / "comparison.md").read_text()
    config = TrainingConfig(data="digits", model="digits-real")
    networks = tuple(Network(f"{s}", replace(config, seed=s)) for s in (2, 0, 1))
    written(tmp_path, outcome(), networks)
    assert "Seeds: 0, 1, 2." in (tmp_path / "comparison.md").read_text()


def test_the_comparison_names_what_is_not_trained(tmp_path: Path) -> None:
    config = TrainingConfig(data="digits", model="digits-real", seed=3)
    written(tmp_path, outcome(), untrained=(Network("real", config), Network("b", config)))
    comparison = (tmp_path / "comparison.md").read_text()
    assert "Not trained yet, and so left out: real (seed 3); b (seed 3)." in comparison


def test_an_interval_is_one_text_to_read_and_two_numbers_to_compute_with(tmp_path: Path) -> None:
    table = Table(
        title="t",
        columns=("network", "95 % interval", "images"),
        rows=(("a", Interval(1.26, 20.0), 8), ("b", None, 9)),
        intervals=("95 % interval",),
    )
    found = ExperimentOutcome(caption="c", tables={"rows": table})
    written(tmp_path, found)
    with (tmp_path / "rows.csv").open() as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["network", "95 % interval, low", "95 % interval, high", "images"],
        ["a", "1.3", "20.0", "8"],
        ["b", "", "", "9"],
    ]
    assert "| a | 1.3 to 20.0 | 8 |" in (tmp_path / "rows.md").read_text()


@pytest.mark.parametrize(
    ("row", "intervals", "said"),
    [
        (("a",), (), "expected 2 cells in each row of 't'"),
        (("a", 1.0), ("b",), "columns of intervals among network, number, got 'b'"),
        (("a", Interval(0, 1)), (), "intervals in the columns of intervals alone"),
        (("a", 1.0), ("number",), r"intervals in the columns of intervals alone, got 1\.0"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(
    row: tuple[object, ...], intervals: tuple[str, ...], said: str
) -> None:
    columns = ("network", "number")
    with pytest.raises(HyperparameterError, match=said):
        Table(title="t", columns=columns, rows=(row,), intervals=intervals)  # type: ignore[arg-type] # wrong cells

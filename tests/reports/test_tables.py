"""Laws of steadygrad.reports.tables."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from steadygrad.reports import (
    compare_runs,
    csv_table,
    load_runs,
    markdown_table,
    summary_rows,
    summary_table,
)

MakeRun = Callable[..., Path]


def test_rows_hold_the_numbers_of_the_files(make_run: MakeRun) -> None:
    config = {"penalty": "l2", "strength": 0.5, "seed": 3, "epochs": 4}
    runs = load_runs([make_run("a", config=config, seconds=2.0)])
    (comparison,) = compare_runs(runs)
    (row,) = summary_rows(comparison)
    points = {point.eps: point for point in comparison.entries[0].points}
    assert (row.run, row.model, row.seed, row.images) == ("a", "digits-real", 3, 360)
    assert (row.parameters, row.macs) == (runs[0].parameters, runs[0].macs)
    assert (row.penalty, row.adversarial) == ("squared L2, strength 0.5", "none")
    assert row.clean == points[0]
    assert row.attacked == tuple(points[eps] for eps in (0.1, 0.14, 0.2, 0.3))
    assert row.mean_accuracy == pytest.approx(sum(p.accuracy for p in points.values()) / 16)
    assert (row.seconds_per_epoch, row.total_seconds) == pytest.approx((2.02, 8.08), rel=0.01)
    assert (row.epochs_done, row.epochs) == (4, 4)


def test_csv_reads_back(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run('a,"b"'), make_run("c", half=0.2)]))
    rows = summary_rows(comparison)
    read = list(csv.DictReader(io.StringIO(csv_table(rows))))
    assert [line["run"] for line in read] == ['a,"b"', "c"]
    for line, row in zip(read, rows, strict=True):
        point = row.attacked[1]
        assert float(line["eps_0.14"]) == point.accuracy
        assert (float(line["eps_0.14_low"]), float(line["eps_0.14_high"])) == point.ci95
        assert int(line["images"]) == 360
        assert float(line["total_seconds"]) == row.total_seconds


def test_csv_leaves_unknown_values_empty(make_run: MakeRun) -> None:
    path = make_run("a", config={"data": "folder:own"}, eps=(0.1, 0.2))
    (path / "metrics.jsonl").unlink()
    (comparison,) = compare_runs(load_runs([path]))
    (line,) = csv.DictReader(io.StringIO(csv_table(summary_rows(comparison))))
    empty = {key for key, value in line.items() if value == ""}
    clean = {"clean", "clean_low", "clean_high"}
    assert empty == clean | {"parameters", "macs", "seconds_per_epoch", "total_seconds"}


def test_markdown_has_a_cell_per_column_whatever_the_name(make_run: MakeRun) -> None:
    (comparison,) = compare_runs(load_runs([make_run("a|b`<i>"), make_run("c")]))
    head, rule, first, second = markdown_table(summary_rows(comparison)).splitlines()
    columns = head.count("|")
    assert rule.count("|") == second.count("|") == first.count("|") - first.count("\\|") == columns
    assert first.startswith("| a\\|b\\`\\<i\\> | digits-real | plain | 98.1\u00a0% (96.0–99.1) |")


def test_terminal_shows_runs_numbers_and_cautions_in_80_columns(make_run: MakeRun) -> None:
    config = {"penalty": "l1", "strength": 0.02}
    paths = [
        make_run("plain"),
        make_run("regularized", config=config, half=0.2),
        make_run("[red]few", n=50, epochs_done=3),
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(load_runs(paths)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "PGD(8) on 360 test images of digits" in text
    assert "PGD(8) on 50 test images of digits" in text
    headings = re.split(r"\s{2,}", text.splitlines()[1].strip())
    assert headings == ["run", "clean", "eps 0.1", "eps 0.14", "eps 0.2", "eps 0.3", "mean"]
    assert "[red]few" in text
    assert "squared L1 penalty" in text
    assert "96.0–99.1" in text  # 353 of 360 without attack
    assert "! [red]few was evaluated on 50 images instead of 360" in text
    assert "3 of 12" in text
    assert "…" not in text

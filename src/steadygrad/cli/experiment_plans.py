"""What an experiment would train, what that costs, and how it is shared out between machines."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from steadygrad.cli.listing import print_listing
from steadygrad.cli.terminal import results, tell
from steadygrad.error_text import reason
from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.experiments import (
    SCALES,
    Experiment,
    Measurements,
    Network,
    NetworkStore,
    experiment_by_name,
    experiment_names,
    experiment_package,
    planned_networks,
    result_folder,
)
from steadygrad.experiments.training_cost import (
    PlannedNetwork,
    plan,
    step_seconds_record,
    total_seconds,
)
from steadygrad.reports.experiments import read_record

__all__ = ["part_of_plan", "print_experiments", "print_plan"]


def print_experiments(store: NetworkStore, out: Path, *, as_json: bool) -> None:
    """Print every experiment with its networks, their minutes and results, at each scale."""
    damaged: list[str] = []
    rows = _rows(store, out, damaged)
    for sentence in dict.fromkeys(damaged):  # experiments share networks
        tell(f"{sentence}; listed as not trained")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    print_listing(
        {"name": False, **dict.fromkeys(SCALES, True)},
        [(row["name"], *(_cell(row, scale) for scale in SCALES)) for row in rows],
        [_sentence(row) for row in rows],
    )
    results.print(
        f"\nNetworks that {store.folder} lacks / that one seed needs, and the minutes that those "
        f"to train take on one core ({_basis()}). * results are in {out}.",
        soft_wrap=True,
        markup=False,
    )


def print_plan(planned: Sequence[Network], store: NetworkStore, earlier: Measurements) -> None:
    """Print every network of a plan, whether it is there, and its minutes; then the sums.

    earlier: measurements that make it needless to train a network.
    """
    entries = plan(planned, store)
    for entry in entries:
        state, config = "there" if entry.is_trained else "to train", entry.network.config
        if not entry.is_trained and earlier.has(entry.network):
            state = "measured"
        results.print(
            f"{state:8}  {entry.network.folder_name}  seed {config.seed}  {config.epochs} epochs  "
            f"{_minutes(entry.seconds)} min  {entry.network.label}",
            soft_wrap=True,
            markup=False,
        )
    lacking = [entry for entry in entries if not (entry.is_trained or earlier.has(entry.network))]
    results.print(
        f"{len(lacking)} of {len(entries)} networks to train: {_minutes(total_seconds(lacking))} "
        f"of {_minutes(total_seconds(entries))} minutes on one core ({_basis()})",
        soft_wrap=True,
        markup=False,
    )


def part_of_plan(planned: Sequence[Network], shard: str) -> tuple[Network, ...]:
    """Return every N-th network, from the K-th on, of a shard written as "K/N".

    Counted in the whole plan, trained or not: a part stays the same however far the others are.
    Raises: HyperparameterError.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    first, number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= number:
        raise HyperparameterError(
            f"expected a shard K/N with K from 1 to N, such as 1/4, got {shard!r}"
        )
    return tuple(planned[first - 1 :: number])


def _rows(store: NetworkStore, out: Path, damaged: list[str]) -> list[dict[str, Any]]:
    rows = []
    for name in experiment_names():
        package = experiment_package(name)
        try:
            row = _row(experiment_by_name(name), store, out, damaged)
        except Exception as error:  # of another package, which must not hide the others
            if package is None:
                raise
            tell(f"{name} of the package {package} cannot be listed: {reason(error)}")
        else:
            rows.append({**row, "package": package})
    return rows


def _sentence(row: dict[str, Any]) -> str:
    package = row["package"]
    return f"{row['title']} (package {package})" if package else f"{row['title']}"


def _row(
    experiment: Experiment, store: NetworkStore, out: Path, damaged: list[str]
) -> dict[str, Any]:
    plans = {
        name: plan(planned_networks(experiment, scale, (0,), None), store, damaged.append)
        for name, scale in SCALES.items()
    }
    lacking = {
        name: [entry for entry in entries if not entry.is_trained]
        for name, entries in plans.items()
    }
    return {
        "name": experiment.name,
        "title": experiment.title,
        "networks": {name: len(entries) for name, entries in plans.items()},
        "missing": {name: len(entries) for name, entries in lacking.items()},
        "minutes_missing": {k: _in_minutes(total_seconds(v)) for k, v in lacking.items()},
        "minutes_whole": {k: _in_minutes(total_seconds(v)) for k, v in plans.items()},
        "plan": {name: [_json(entry) for entry in entries] for name, entries in plans.items()},
        "results": [
            name
            for name, scale in SCALES.items()
            if _has_record(result_folder(out, experiment, scale))
        ],
    }


def _has_record(folder: Path) -> bool:
    """Tell whether an experiment's results are in a folder; tell the user of damaged ones."""
    try:
        return read_record(folder) is not None
    except CheckpointError as error:
        tell(f"{error}; listed as not run")
        return False


def _json(entry: PlannedNetwork) -> dict[str, Any]:
    return {
        "label": entry.network.label,
        "seed": entry.network.config.seed,
        "folder_name": entry.network.folder_name,
        "is_trained": entry.is_trained,
        "minutes": _in_minutes(entry.seconds),
    }


def _cell(row: dict[str, Any], scale: str) -> str:
    needed, lacking = row["networks"][scale], row["missing"][scale]
    mark = "*" if scale in row["results"] else ""
    if needed == 0:
        return f"none{mark}"
    minutes = row["minutes_missing"][scale]
    return f"{lacking}/{needed} {_minutes(None if minutes is None else 60 * minutes)}{mark}"


def _in_minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 60, 2)


def _minutes(seconds: float | None) -> str:
    """Return minutes for people; "?" if a step of the network was never measured."""
    if seconds is None:
        return "?"
    minutes = seconds / 60
    return f"{minutes:.1f}" if 0 < minutes < 10 else f"{minutes:,.0f}"


def _basis() -> str:
    record = step_seconds_record()
    return f"estimated for {record['processor']}; of trained networks as they took"

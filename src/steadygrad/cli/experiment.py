"""``steadygrad experiment``: the papers' figures and tables, listed, run and shown."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from steadygrad.cli.listing import print_listing
from steadygrad.cli.terminal import INTERRUPTED, messages, results
from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.experiments import (
    SCALES,
    Network,
    NetworkStore,
    experiment_by_name,
    experiment_names,
    missing,
    scale_by_name,
)
from steadygrad.reports.experiments import (
    interval_text,
    number_text,
    planned_networks,
    read_record,
    result_folder,
    run_experiment,
)
from steadygrad.training import console_progress

__all__ = ["register"]

_NETWORKS = Path("runs/networks")
_RESULTS = Path("results")

NetworksOption = Annotated[Path, typer.Option(help="Where trained networks are kept.")]
OutOption = Annotated[Path, typer.Option(help="Folder of results: OUT/NAME/SCALE.")]
ScaleOption = Annotated[
    str, typer.Option(help=f"One of {', '.join(SCALES)}; only paper is comparable.")
]


def register(app: typer.Typer) -> None:
    """Add the command group to the program."""
    group = typer.Typer(
        name="experiment",
        help="Reproduce the papers' figures and tables.",
        no_args_is_help=True,
        rich_markup_mode="rich",
    )
    group.command("list", epilog="Example: steadygrad experiment list")(_list)
    group.command(
        "run",
        epilog="Example: steadygrad experiment run yeats2021/figure6 --scale quick --data-dir data",
    )(_run)
    group.command(
        "show", epilog="Example: steadygrad experiment show yeats2021/table1 --scale paper"
    )(_show)
    app.add_typer(group)


def _list(
    networks: NetworksOption = _NETWORKS,
    out: OutOption = _RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List every figure and table, with what it needs and which results are there."""
    store = NetworkStore(networks)
    rows: list[dict[str, Any]] = []
    for name in experiment_names():
        experiment = experiment_by_name(name)
        needed = {
            scale: planned_networks(experiment, scale, (0,), None) for scale in SCALES.values()
        }
        rows.append(
            {
                "name": name,
                "title": experiment.title,
                "networks": {scale.name: len(wanted) for scale, wanted in needed.items()},
                "missing": {
                    scale.name: len(missing(wanted, store)) for scale, wanted in needed.items()
                },
                "results": [
                    scale.name
                    for scale in SCALES.values()
                    if read_record(result_folder(out, experiment, scale)) is not None
                ],
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    print_listing(
        {"name": False, "networks": True, "to train": True, "results": False},
        [
            (
                row["name"],
                str(row["networks"]["paper"]),
                " / ".join(str(count) for count in row["missing"].values()),
                ", ".join(row["results"]) or "none",
            )
            for row in rows
        ],
        [row["title"] for row in rows],
    )
    results.print(
        f"\n'to train': networks that {networks} lacks at scale {' / '.join(SCALES)}, one seed.",
        soft_wrap=True,
    )


def _run(
    name: Annotated[str, typer.Argument(help="Such as yeats2021/figure6, see the list.")],
    scale: ScaleOption = "quick",
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, ...")] = 1,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with local copies of the data; without it, the hub."),
    ] = None,
    networks: NetworksOption = _NETWORKS,
    out: OutOption = _RESULTS,
    jobs: Annotated[int, typer.Option(help="Networks trained side by side.")] = 1,
    only_trained: Annotated[
        bool,
        typer.Option("--only-trained", help="Train nothing; use the networks that are there."),
    ] = False,
    device: Annotated[str, typer.Option(help="Of the attacks: cpu, cuda, ...")] = "cpu",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained.")
    ] = False,
) -> None:
    """Train what is missing, attack, draw, and put the results beside the paper's numbers.

    A killed run goes on where it was with the same command. Networks are shared between
    experiments: each configuration is trained once.
    """
    experiment, chosen = experiment_by_name(name), scale_by_name(scale)
    if seeds < 1:
        raise HyperparameterError(f"expected seeds >= 1, got {seeds}")
    numbers, store = tuple(range(seeds)), NetworkStore(networks)
    planned = planned_networks(experiment, chosen, numbers, data_dir)
    if dry_run:
        _print_plan(planned, store)
        return
    folder = run_experiment(
        experiment,
        scale=chosen,
        seeds=numbers,
        store=store,
        out=out,
        data_dir=data_dir,
        jobs=jobs,
        only_trained=only_trained,
        device=device,
        progress=console_progress(),
        message=lambda text: messages.print(text, soft_wrap=True, markup=False),
    )
    if folder is None:
        messages.print("stopped; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    _print_results(folder)


def _show(
    name: Annotated[str, typer.Argument(help="Such as yeats2021/figure6, see the list.")],
    scale: ScaleOption = "quick",
    out: OutOption = _RESULTS,
) -> None:
    """Print the comparison with the paper, and where figures and tables lie."""
    experiment, chosen = experiment_by_name(name), scale_by_name(scale)
    folder = result_folder(out, experiment, chosen)
    if read_record(folder) is None:
        raise CheckpointError(
            f"no results of {name} at scale {scale} in {folder}; make them with "
            f"`steadygrad experiment run {name} --scale {scale}`"
        )
    _print_results(folder)


def _print_plan(planned: tuple[Network, ...], store: NetworkStore) -> None:
    lacking = {network.digest for network in missing(planned, store)}
    for network in planned:
        state = "to train" if network.digest in lacking else "there"
        config = network.config
        results.print(
            f"{state:8}  {network.folder_name}  seed {config.seed}  {config.epochs} epochs  "
            f"{network.label}",
            soft_wrap=True,
            markup=False,
        )
    results.print(f"{len(lacking)} of {len(planned)} networks to train")


def _print_results(folder: Path) -> None:
    record = read_record(folder)
    assert record is not None
    results.print(f"{record['experiment']}: {record['title']}\n{record['caption']}", markup=False)
    remarks: dict[str, int] = {}
    if record["compared"]:
        table = Table(box=None, pad_edge=False)
        for column in ("quantity", "paper", "ours", "95 % interval", "verdict"):
            table.add_column(column, justify="left" if column == "quantity" else "right")
        table.add_column("")
        for entry in record["compared"]:
            remark = "; ".join(text for text in (entry["obstacle"], entry["note"]) if text)
            mark = f"({remarks.setdefault(remark, len(remarks) + 1)})" if remark else ""
            table.add_row(
                entry["quantity"],
                number_text(entry["printed"]),
                number_text(entry["ours"]),
                interval_text(entry["interval"]),
                entry["verdict"],
                mark,
            )
        results.print(table)
        for remark, number in remarks.items():
            results.print(f"({number}) {remark}", markup=False)
    else:
        results.print("The paper prints no numbers for this.")
    files = [f"{name}.png" for name in record["figures"]]
    files += [f"{name}.md" for name in record["tables"]]
    messages.print(f"in {folder}: {', '.join([*files, 'comparison.md'])}", soft_wrap=True)

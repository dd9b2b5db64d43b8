"""``steadygrad experiment``: the papers' figures and tables, listed, run and shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from steadygrad.cli import shared_options as options
from steadygrad.cli.commands import Group
from steadygrad.cli.experiment_plans import part_of_plan, print_experiments, print_plan
from steadygrad.cli.terminal import INTERRUPTED, print_table, results, tell
from steadygrad.distributed import alone
from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.experiments import (
    SCALES,
    Interval,
    Measurements,
    NetworkStore,
    experiment_by_name,
    planned_networks,
    result_folder,
    run_experiment,
    scale_by_name,
    train_networks,
    train_networks_in_processes,
)
from steadygrad.reports.experiments import number_text, read_record, write_experiment
from steadygrad.time_budget import TimeBudget
from steadygrad.training import console_progress
from steadygrad.training.process_group import launched_ranks

__all__ = ["register"]

_NETWORKS = Path("runs/networks")
_RESULTS = Path("results")

NetworksOption = Annotated[Path, typer.Option(help="Folder of trained networks.")]
OutOption = Annotated[Path, typer.Option(help="Folder of results: OUT/NAME/SCALE.")]
ScaleOption = Annotated[
    str,
    typer.Option(help=f"One of {', '.join(SCALES)}; only paper is compared with printed numbers."),
]


def register(app: typer.Typer) -> None:
    """Add the command group to the program."""
    group = Group(
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
    as_json: options.JsonOnly = False,
) -> None:
    """List every figure and table, with what it needs and which results are there."""
    print_experiments(NetworkStore(networks), out, as_json=as_json)


def _run(
    name: Annotated[str, typer.Argument(help="Such as yeats2021/figure6, see the list.")],
    scale: ScaleOption = "quick",
    seeds: Annotated[int, typer.Option(help="Number of seeds: 0, 1, ...")] = 1,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with local copies of the data; without it, the hub."),
    ] = None,
    networks: NetworksOption = _NETWORKS,
    out: OutOption = _RESULTS,
    jobs: Annotated[int, typer.Option(help="Networks to train at the same time.")] = 1,
    only_trained: Annotated[
        bool,
        typer.Option("--only-trained", help="Train nothing; use the networks that are available."),
    ] = False,
    keep_measured: Annotated[
        bool,
        typer.Option(
            "--keep-measured",
            help="Use what earlier results in OUT measured of networks that are missing now.",
        ),
    ] = False,
    device: Annotated[
        str, typer.Option(help="Device of the attacks: auto, cpu, cuda, ...")
    ] = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time for training, the shortest first; then measure what is trained.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be trained, with minutes.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Train only every N-th network, starting at the K-th; measure nothing.",
        ),
    ] = None,
) -> None:
    """Train what is missing, attack, draw, and put the results beside the paper's numbers.

    The same command continues an interrupted run. Experiments share networks: each configuration
    is trained once. To train on several machines, give each its own --shard and a shared folder of
    networks (or merge the folders afterwards), then run without --shard. If networks were deleted,
    --keep-measured uses what earlier results measured of them, and trains the others.

    Under torchrun or accelerate launch each process trains some of the networks, into a folder that
    all of them reach; the main process measures.
    """
    experiment, chosen, budget = experiment_by_name(name), scale_by_name(scale), TimeBudget(minutes)
    if out.exists() and not out.is_dir():
        raise OutputError(f"expected a folder for the results, but {out} is a file")
    if seeds < 1:
        raise HyperparameterError(f"expected seeds >= 1, got {seeds}")
    numbers, store = tuple(range(seeds)), NetworkStore(networks)
    planned = planned_networks(experiment, chosen, numbers, data_dir)
    if shard is not None:
        planned = part_of_plan(planned, shard)
        if only_trained:
            raise HyperparameterError(
                f"--shard {shard} trains and --only-trained does not: choose one of them"
            )
    ranks = launched_ranks()
    earlier = Measurements()
    if keep_measured and (dry_run or shard is not None or ranks.count > 1):
        earlier = Measurements.of_results(result_folder(out, experiment, chosen))
    if dry_run:
        if ranks.is_main:
            print_plan(planned, store, earlier)
        return
    planned = tuple(network for network in planned if not earlier.has(network))
    if ranks.count > 1 and not only_trained:
        if jobs != 1:
            raise HyperparameterError(
                f"expected --jobs 1 in {ranks.count} processes, of which each trains a part of the "
                f"networks, got {jobs}"
            )
        if not (
            train_networks_in_processes(planned, store, progress=console_progress(), budget=budget)
            or budget.is_spent()
        ):
            _stop()
    if not ranks.is_main:
        return
    with alone():
        if shard is not None:
            if not train_networks(
                planned, store, jobs=jobs, progress=console_progress(), budget=budget
            ):
                _stop()
            tell(
                f"{len(planned)} networks of shard {shard} are in {networks}; nothing was "
                "measured: run the command without --shard when all shards are there"
            )
            return
        found = run_experiment(
            experiment,
            scale=chosen,
            seeds=numbers,
            store=store,
            out=out,
            data_dir=data_dir,
            jobs=jobs,
            only_trained=only_trained,
            keep_measured=keep_measured,
            device=device,
            minutes=budget.minutes_left,
            progress=console_progress(),
            message=tell,
        )
    if found is None:
        _stop()
    folder = result_folder(out, experiment, chosen)
    write_experiment(folder, *found)
    record = read_record(folder)
    assert record is not None
    _print_results(folder, record)


def _stop() -> NoReturn:
    tell("stopped; the same command continues")
    raise typer.Exit(INTERRUPTED)


def _show(
    name: Annotated[str, typer.Argument(help="Such as yeats2021/figure6, see the list.")],
    scale: ScaleOption = "quick",
    out: OutOption = _RESULTS,
    in_viewer: Annotated[
        bool, typer.Option("--open", help="Also open the figures in the desktop's viewer.")
    ] = False,
) -> None:
    """Print the comparison with the paper, and the paths of figures and tables."""
    experiment, chosen = experiment_by_name(name), scale_by_name(scale)
    folder = result_folder(out, experiment, chosen)
    record = read_record(folder)
    if record is None:
        raise CheckpointError(
            f"no results of {name} at scale {scale} in {folder}; make them with "
            f"`steadygrad experiment run {name} --scale {scale}`"
        )
    _print_results(folder, record)
    if in_viewer:
        _open_figures(folder, record)


def _open_figures(folder: Path, record: Mapping[str, Any]) -> None:
    if not record["figures"]:
        tell(f"{record['experiment']} has tables only: nothing to open")
    for name in record["figures"]:
        picture = folder / f"{name}.png"
        if not picture.is_file():
            raise CheckpointError(f"{picture} is missing; run the experiment again")
        if typer.launch(str(picture), wait=True) != 0:
            raise OutputError(f"no viewer on this machine opens {picture}")


def _print_results(folder: Path, record: Mapping[str, Any]) -> None:
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
                number_text(None if entry["interval"] is None else Interval.of(*entry["interval"])),
                entry["verdict"],
                mark,
            )
        print_table(table)
        for remark, number in remarks.items():
            results.print(f"({number}) {remark}", markup=False)
    else:
        results.print("No paper prints numbers for this.")
    files = [f"{name}.png" for name in record["figures"]]
    files += [f"{name}.md" for name in record["tables"]]
    tell(f"in {folder}: {', '.join([*files, 'comparison.md'])}")

"""``steadygrad demo``: the whole way from training to report on data that needs no download."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from steadygrad.cli.terminal import INTERRUPTED, print_table, print_text, tell
from steadygrad.errors import CheckpointError, OutputError
from steadygrad.evaluation.runs import evaluate_run
from steadygrad.reports import load_runs, summary_table, write_report
from steadygrad.training import TrainingConfig, console_progress, train
from steadygrad.training.run_folder import RunFolder, run_config

__all__ = ["register"]

_EPS = tuple(step / 50 for step in range(16))
_TRAINING: dict[str, Any] = {
    "data": "digits",
    "epochs": 40,
    "schedule": "multi-step:30",
    "batch_size": 32,
}
_PENALTY = "squared-norm:strength=0.03"
_RUNS: dict[str, dict[str, Any]] = {
    "complex": {"model": "digits-complex"},
    "complex-regularized": {"model": "digits-complex", "penalty": _PENALTY},
    "real": {"model": "digits-real"},
    "real-regularized": {"model": "digits-real", "penalty": _PENALTY},
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo", epilog="Example: steadygrad demo --out runs/demo")(_demo)


def _demo(
    out: Annotated[Path, typer.Option(help="Folder for runs and report.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
) -> None:
    """Train four small networks on scikit-learn's digits, attack them, write a report.

    Complex and real, each plain and with the penalty on its input gradient. Runs that are
    already there with the same settings are not trained again, those of another seed are replaced.
    """
    # Networks this small gain nothing from threads, which wait for each other on a busy machine.
    torch.set_num_threads(1)
    configs = {
        out / name: TrainingConfig.from_dict(_TRAINING | settings | {"seed": seed})
        for name, settings in _RUNS.items()
    }
    for run, config in configs.items():  # before the first of them is trained
        _refuse_to_replace_others(run, config)
    for run, config in configs.items():
        tell(f"{run.name} ({config.model_text})")
        can_resume = _is_run_of(run, config)
        result = train(
            config,
            run,
            resume=can_resume,
            overwrite=not can_resume and run.exists(),
            progress=console_progress(),
        )
        if not result.is_finished:
            tell("stopped; the same command continues")
            raise typer.Exit(INTERRUPTED)
        evaluate_run(run, "pgd:steps=8", _EPS, seed=seed)
    runs = list(configs)
    path = write_report(runs, out / "report.html", title="steadygrad demo: handwritten digits")
    print_table(summary_table(load_runs(runs)))
    print_text(f"report: {path}")


def _refuse_to_replace_others(run: Path, config: TrainingConfig) -> None:
    """Raise OutputError, if what lies there is neither a run of the demo nor an empty folder."""
    if _is_run_of(run, config, any_seed=True):
        return
    try:
        RunFolder(run).refuse_unless_empty()
    except OutputError as error:
        raise OutputError(f"{run} is no run of the demo; choose another --out") from error


def _is_run_of(run: Path, config: TrainingConfig, *, any_seed: bool = False) -> bool:
    try:
        there = run_config(run)
    except CheckpointError:
        return False
    return (replace(there, seed=config.seed) if any_seed else there) == config

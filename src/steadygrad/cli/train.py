"""``steadygrad train``: one network, plain, penalised or on attacks."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from steadygrad.cli.parsing import augmentation_steps
from steadygrad.cli.terminal import INTERRUPTED, command, tell, tell_next
from steadygrad.datasets import data_source
from steadygrad.errors import HyperparameterError
from steadygrad.models import MODELS
from steadygrad.models.model_file import runs_code
from steadygrad.penalties import PENALTIES, strength_from_lambda
from steadygrad.training import (
    TrainingConfig,
    console_progress,
    run_config,
    train,
    with_recipe,
)
from steadygrad.training.command_words import evaluate_words
from steadygrad.training.config import Precision, naming_file, read_settings

__all__ = ["register"]

_EPILOG = (
    "Example: steadygrad train --dataset mnist --data-dir data --model yeats2021-mnist-complex "
    "--recipe wide-noise:0.2 --epochs 10 --out runs/mnist-complex"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train", epilog=_EPILOG)(_train)


def _train(
    out: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with any of these settings but --recipe; options take precedence."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out, with its settings."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that is already in --out.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option("--dataset", "--data", help="Name (`steadygrad datasets`), path or part."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Local copies; without it, the Hugging Face hub."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name (`steadygrad models`) with its settings.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Proven settings for a radius (wide-noise:0.2), over --config and its noise, "
            "under other options."
        ),
    ] = None,
    penalty: Annotated[
        str | None,
        typer.Option(
            help="squared-norm:strength=0.125, norm:eps=8/255, gn, sgr, none; see "
            "`steadygrad parts penalty`."
        ),
    ] = None,
    paper_lambda: Annotated[
        float | None,
        typer.Option(help="Strength of gn or sgr in the units of Roth et al. (twice ours)."),
    ] = None,
    penalty_every: Annotated[
        int | None,
        typer.Option(help="Penalise every n-th step, n times as much."),
    ] = None,
    ramp: Annotated[
        str | None, typer.Option(help="Raise the penalty from 0, such as ramp:5 (epochs).")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="cross-entropy, cross-entropy:smoothing=0.1, ...")
    ] = None,
    attack: Annotated[
        str | None,
        typer.Option(
            help="Adversarial training, to compare with: pgd:eps=0.1,steps=4, or "
            "mixture:attack=pgd,attack.eps=0.1,fraction=0.5 for a part of each batch."
        ),
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            help="flip, crop:4, rotate:10, uniform:0.1, ...; repeatable, in order; or none, "
            "in place of a configuration's."
        ),
    ] = None,
    mixing: Annotated[
        str | None, typer.Option(help="Mix images in pairs, with soft labels: mixup, cutmix.")
    ] = None,
    tuning: Annotated[
        str | None,
        typer.Option(
            help="Fine-tuning of a trained network: fine-tune:freeze=...,early_rate=0.1, ..."
        ),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd:learning_rate=0.005, adam, adamw, ...")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="Learning rate: multi-step:10+20, linear, cosine:warmup=1."),
    ] = None,
    averaging: Annotated[
        str | None, typer.Option(help="Also keep averaged weights: ema:0.998.")
    ] = None,
    clipping: Annotated[
        str | None, typer.Option(help="Clip the parameter gradient: norm:5 or value:0.1.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(help="Compute each batch in N parts, to save memory."),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of the forward passes; bf16 is autocast."),
    ] = None,
    limit_train: Annotated[
        int | None, typer.Option(help="Train on the first N images only.")
    ] = None,
    validation_size: Annotated[
        int | None,
        typer.Option(help="Training images held out and measured after each epoch."),
    ] = None,
    test_images: Annotated[
        int | None,
        typer.Option(help="Test images measured after each epoch; select nothing by them."),
    ] = None,
    update_similarity: Annotated[
        bool | None,
        typer.Option(help="Record the angle of plain and penalised updates."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.")] = None,
    cuda_graph: Annotated[
        bool | None,
        typer.Option(help="Replay steps as a CUDA graph: faster."),
    ] = None,
    shard: Annotated[
        bool | None,
        typer.Option(help="Divide the weights among processes (FSDP2)."),
    ] = None,
    tracker: Annotated[list[str] | None, typer.Option(help="Also log to wandb or mlflow.")] = None,
    checkpoint_seconds: Annotated[
        float | None, typer.Option(help="Least time between checkpoints.")
    ] = None,
) -> None:
    """Train a network and keep its weights, settings and metrics in a run folder.

    Parts are written NAME or NAME:key=value,...; `steadygrad parts` lists them with their settings.
    """
    given = {
        "data": data,
        "model": model,
        "penalty": penalty,
        "penalty_every": penalty_every,
        "ramp": ramp,
        "loss": loss,
        "attack": attack,
        "augmentation": augmentation_steps(augment),
        "mixing": mixing,
        "tuning": tuning,
        "optimizer": optimizer,
        "schedule": schedule,
        "averaging": averaging,
        "clipping": clipping,
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "precision": precision,
        "limit_train": limit_train,
        "validation_size": validation_size,
        "test_images": test_images,
        "update_similarity": update_similarity,
        "seed": seed,
        "device": device,
        "cuda_graph": cuda_graph,
        "shard": shard,
        "trackers": tracker,
        "checkpoint_seconds": checkpoint_seconds,
    }
    typed = {name: value for name, value in given.items() if value is not None}
    base = _stored_settings(out) if resume else {}
    base |= read_settings(config) if config is not None else {}
    settings = base | typed
    if recipe is not None:
        with naming_file(config):
            settings = with_recipe(recipe, typed, base=base)
    if paper_lambda is not None:
        settings["penalty"] = _with_lambda(settings.get("penalty"), paper_lambda)
    if data_dir is not None and "data" in settings:
        settings["data"] = data_source(settings["data"], data_dir)
    needed = {"data": "--dataset", "model": "--model"}
    missing = [option for name, option in needed.items() if name not in settings]
    # A name that is no setting, such as dataset in a file, is the likelier mistake: see from_dict.
    if missing and settings.keys() <= {field.name for field in fields(TrainingConfig)}:
        raise HyperparameterError(f"expected {' and '.join(missing)}, or a --config that says it")
    with naming_file(config):
        training = TrainingConfig.from_dict(settings)
    if paper_lambda is not None and training.penalty is not None:
        tell(
            f"lambda {paper_lambda:g} of Roth et al. is strength {training.penalty.strength:g} "
            "(lambda / 2)"
        )
    result = train(
        training,
        out,
        resume=resume,
        overwrite=overwrite,
        progress=console_progress(),
    )
    if not result.is_finished:
        named = ["--model", MODELS.text(training.model)] if runs_code(training.model) else []
        tell(f"stopped; {command('train', '--resume', *named, '--out', out)} continues")
        raise typer.Exit(INTERRUPTED)
    tell(f"run folder: {out}")
    words = evaluate_words(out, training)
    tell_next("evaluate", *words, "--attack", "pgd:steps=8", "--eps", "0:0.3:0.02")


def _stored_settings(out: Path) -> dict[str, Any]:
    """Return the settings of the run in a folder, but no model whose code a file must not run."""
    stored = run_config(out)
    settings = stored.to_dict()
    if runs_code(stored.model):
        del settings["model"]
    return settings


def _with_lambda(penalty: Any, paper_lambda: float) -> Any:
    """Return the penalty of the strength that a lambda of Roth et al. means."""
    strength = strength_from_lambda(paper_lambda)
    name = penalty.get("name") if isinstance(penalty, dict) else str(penalty).partition(":")[0]
    if name not in ("gn", "sgr"):
        raise HyperparameterError(
            f"expected penalty gn or sgr along with --paper-lambda, got {penalty or 'none'}"
        )
    chosen = PENALTIES.of(penalty, strength=strength)
    if chosen.strength != strength:
        raise HyperparameterError(
            f"expected a strength or --paper-lambda, not both, got {chosen.strength:g} and "
            f"{paper_lambda:g}"
        )
    return chosen

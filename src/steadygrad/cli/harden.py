"""``steadygrad harden``: fine-tune a trained network for a radius, and report what it changed."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from steadygrad.attacks.ball import Norm
from steadygrad.cli import shared_options as options
from steadygrad.cli.parsing import augmentation_steps, parse_fraction
from steadygrad.cli.terminal import FAILED, INTERRUPTED, print_table, print_text, tell, tell_next
from steadygrad.datasets import DataSource, data_source
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.auditing import ACCEPTABLE
from steadygrad.hardening import HardeningReport, harden, search_hardening
from steadygrad.hardening.fine_tuning import check_radius
from steadygrad.hardening.folder import HardeningFolder
from steadygrad.hardening.seen_images import data_dir_before
from steadygrad.models import model_source
from steadygrad.reports.wording import percent, radius_text
from steadygrad.training import RunFolder, console_progress, run_config
from steadygrad.training.command_words import evaluate_words
from steadygrad.training.config import Precision

__all__ = ["register"]

_EPILOG = (
    "Examples: steadygrad harden timm:efficientnet_lite0 --weights w.pth --dataset folder/ "
    "--image-size 224 --eps 2/255 --epochs 5 --out runs/hardened; "
    "steadygrad harden runs/clean --eps 0.1 --dataset mnist --out runs/hardened; "
    "steadygrad harden runs/clean --eps 0.1 --dataset mnist --target 'clean-drop<=1' --out searched"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("harden", epilog=_EPILOG)(_harden)


def _harden(
    model: Annotated[
        str,
        typer.Argument(
            help=f"Run folder, {options.ANY_MODEL} head=new after the name for other classes.",
        ),
    ],
    eps: Annotated[
        str,
        typer.Option(
            help="Radius in pixels, such as 2/255. Several, such as 1/255,4/255: one network for "
            "each.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        str, typer.Option(help="Name (see `steadygrad datasets`) or folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of all results.")] = Path("hardened"),
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights: safetensors, a state dict, a trainer's checkpoint or a folder.",
            show_default=False,
        ),
    ] = None,
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Search for the penalty's radius that gives the most robust network, such as "
            "clean-drop<=1 (points lost on validation images). Exit code 1 if none meets it.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help=r"Networks that a search trains. \[default: 6]",
            show_default=False,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Optuna's storage of a search that several machines share, such as "
            "postgresql://...",
            show_default=False,
        ),
    ] = None,
    norm: Annotated[
        Literal["linf", "l2"], typer.Option(help="Norm that eps is measured in.")
    ] = "linf",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Penalty and noise of a recipe for the radius, such as wide-noise, in place of "
            "norm:eps.",
            show_default=False,
        ),
    ] = None,
    penalty_every: Annotated[
        int,
        typer.Option(help="Take the penalty in every n-th step only, at n times its weight."),
    ] = 1,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 64,
    accumulate: Annotated[
        int,
        typer.Option(help="Compute each batch in N parts, one after the other, to save memory."),
    ] = 1,
    precision: Annotated[
        Precision, typer.Option(help="Forward passes of training: float32, or bf16 (autocast).")
    ] = "float32",
    limit_train: Annotated[
        int | None, typer.Option(help="Train on the first N images only.", show_default=False)
    ] = None,
    activation: Annotated[
        Literal["keep", "gelu", "silu"],
        typer.Option(help="Replace ReLU by a smooth activation first."),
    ] = "keep",
    plain_epochs: Annotated[
        float | None,
        typer.Option(
            help=r"Epochs without the penalty at the start. \[default: 1 with a new activation]",
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Module whose parameters are not trained, or a pattern; repeatable."),
    ] = None,
    early_rate: Annotated[
        float, typer.Option(help="Learning rate of the first layer as a share of the last one's.")
    ] = 1.0,
    batch_norm: Annotated[
        Literal["learn", "hold"] | None,
        typer.Option(
            help="Update the running statistics of batch norm, or keep them. "
            r"\[default: hold; learn with a new activation]",
            show_default=False,
        ),
    ] = None,
    smoothing: Annotated[float, typer.Option(help="Label smoothing.")] = 0.1,
    mixing: Annotated[
        str | None,
        typer.Option(help="Mix images in pairs: mixup:0.2 or cutmix.", show_default=False),
    ] = None,
    optimizer: Annotated[str, typer.Option(help="Optimizer, such as sgd:learning_rate=0.01.")] = (
        "adamw:learning_rate=0.0002"
    ),
    schedule: Annotated[
        str | None,
        typer.Option(
            help=r"Learning rate. \[default: a short warm-up, then cosine]", show_default=False
        ),
    ] = None,
    averaging: Annotated[str, typer.Option(help="Averaged weights: ema:0.998, or none.")] = "ema",
    clipping: Annotated[
        str, typer.Option(help="Clip the parameter gradient: norm:1, value:0.1 or none.")
    ] = "norm:1",
    augment: Annotated[
        list[str] | None,
        typer.Option(help="flip, crop:4, ..., or none; repeatable, applied in order."),
    ] = None,
    report_images: Annotated[
        int, typer.Option(help="Validation images that both networks are measured on.")
    ] = 500,
    audited: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Run the quick audit before and after.")
    ] = True,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Audit although this problem would be refused before the training; repeatable. "
            f"Names: {', '.join(ACCEPTABLE)}.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: options.Device = "auto",
    cuda_graph: Annotated[
        bool, typer.Option(help="Replay steps as a CUDA graph, up to three times faster.")
    ] = False,
    shard: Annotated[
        bool, typer.Option(help="Divide the weights among processes (FSDP2).")
    ] = False,
    tracker: Annotated[
        list[str] | None, typer.Option(help="Also log to wandb:PROJECT, mlflow:EXPERIMENT.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue the hardening in --out, if it began.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the hardening in --out.")] = False,
) -> None:
    """Fine-tune a trained network for a radius and report robustness and accuracy before and after.

    The radius is the only number that is needed. The original network is kept; --out gets the
    hardened one as a run, as files that load without steadygrad, and report.md.
    """
    settings: dict[str, Any] = {
        "batch_size": batch_size,
        "penalty_every": penalty_every,
        "accumulate": accumulate,
        "precision": precision,
        "limit_train": limit_train,
        "mixing": mixing,
        "optimizer": optimizer,
        "averaging": averaging,
        "clipping": clipping,
        "augmentation": augmentation_steps(augment) or [],
        "seed": seed,
        "device": device,
        "cuda_graph": cuda_graph,
        "shard": shard,
        "trackers": tracker or [],
    }
    if schedule is not None:
        settings["schedule"] = schedule
    common: dict[str, Any] = {
        "norm": norm,
        "weights": weights,
        "recipe": recipe,
        "epochs": epochs,
        "activation": activation,
        "plain_epochs": plain_epochs,
        "freeze": freeze or (),
        "early_rate": early_rate,
        "batch_norm": batch_norm,
        "smoothing": smoothing,
        "image_size": image_size,
        "report_images": report_images,
        "audited": audited,
        "accept": accept or (),
        "overwrite": overwrite,
        "progress": console_progress(),
        **settings,
    }
    learned_from = data_dir_before(model_source(model, weights))
    data = data_source(dataset, data_dir, default_dir=learned_from)
    radii = [parse_fraction(text) for text in eps.split(",")]
    if target is not None:
        if len(radii) > 1:
            raise HyperparameterError(f"expected one eps along with --target, got {eps}")
        best = _search(model, data, radii[0], target, trials, storage, out, common)
        _tell_next(best, eps, norm)
        return
    for option, given in (("--trials", trials), ("--storage", storage)):
        if given is not None:
            raise HyperparameterError(
                f"expected --target along with {option}, which is of a search, got {given} without"
            )
    places = _places(radii, out, norm)
    if not (resume or overwrite):
        for place in places:  # before the first radius is trained
            RunFolder(HardeningFolder(place).run).refuse_unless_empty()
    rows = []
    for radius, place in zip(radii, places, strict=True):
        done = harden(model, data, eps=radius, out=place, resume=resume, **common)
        if not done.is_finished:
            tell(f"stopped; the same command with --resume continues in {place}")
            raise typer.Exit(INTERRUPTED)
        if done.report is not None:
            print_text(done.report.markdown())
            rows.append((radius, done.report))
    if len(rows) > 1:
        print_text("By radius, on validation images")
        print_table(_by_radius(rows, norm))
    tell(f"results are in {out}")
    for text, place in zip(eps.split(","), places, strict=True):
        _tell_next(place, text, norm)


def _places(radii: list[float], out: Path, norm: Norm) -> list[Path]:
    """Return the folder of each radius, after all radii were looked at."""
    for radius in radii:
        check_radius(radius, norm)
    if len(radii) == 1:
        return [out]
    places = [out / _folder_name(radius, norm) for radius in radii]
    for index, place in enumerate(places):
        first = places.index(place)
        if first < index:
            raise HyperparameterError(
                f"expected radii with a folder each, got {radii[first]:g} and {radii[index]:g}, "
                f"which both are {place.name}"
            )
    return places


def _folder_name(radius: float, norm: Norm) -> str:
    return f"eps-{radius:.4g}" if norm == "l2" else f"eps-{255 * radius:.4g}-255"


def _search(
    model: str,
    data: DataSource,
    eps: float,
    target: str,
    trials: int | None,
    storage: str | None,
    out: Path,
    settings: dict[str, Any],
) -> Path:
    """Search, print all trials and return the folder of the best; exit if none meets the target."""
    if trials is not None:
        settings = settings | {"trials": trials}
    try:
        found = search_hardening(
            model, data, eps=eps, target=target, storage=storage, out=out, **settings
        )
    except KeyboardInterrupt:
        tell(f"stopped; the same command continues in {out}")
        raise typer.Exit(INTERRUPTED) from None
    print_text(found.markdown())
    tell(f"results are in {out}")
    if found.best is None:
        tell(f"failed: none of {len(found.trials)} networks meets {target}")
        raise typer.Exit(FAILED)
    return found.best.folder


def _tell_next(place: Path, eps: str, norm: Norm) -> None:
    """Print the command that measures the network in a hardening's folder."""
    run = HardeningFolder(place).run
    attack = "pgd:steps=8" if norm == "linf" else f"pgd:steps=8,norm={norm}"
    words = evaluate_words(run, run_config(run))
    tell_next("evaluate", *words, "--attack", attack, "--eps", f"0,{eps.strip()}")


def _by_radius(rows: list[tuple[float, HardeningReport]], norm: Norm) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("eps", "clean before", "clean after", "robust before", "robust after"):
        table.add_column(title, justify="right")
    for eps, report in rows:
        sides = [report.before.clean, report.after.clean]
        sides += [report.before.worst_case(eps), report.after.worst_case(eps)]
        table.add_row(radius_text(eps, norm), *(percent(point.accuracy) for point in sides))
    return table

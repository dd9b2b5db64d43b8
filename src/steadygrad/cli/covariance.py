"""``steadygrad covariance``: how a network's adversarial perturbations vary together."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from steadygrad.cli import shared_options as options
from steadygrad.cli.attack_progress import attack_progress
from steadygrad.cli.judged import judged_model
from steadygrad.cli.parsing import parse_fraction
from steadygrad.cli.terminal import print_table, print_text, tell, tell_next
from steadygrad.evaluation import AnalysisSettings, CovarianceAnalysis, analyse_perturbations
from steadygrad.evaluation.judged import JudgedModel
from steadygrad.models import MODELS
from steadygrad.reports.covariance import (
    length_text,
    shift_caution,
    source_name,
    write_covariance_analysis,
)
from steadygrad.reports.wording import count_text, eps_text
from steadygrad.store import make_folder

__all__ = ["register"]

_EPILOG = (
    "Example: steadygrad covariance runs/cifar-clean --attack pgd:eps=8/255 --limit 1000 "
    "--out runs/cifar-clean/covariance"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("covariance", epilog=_EPILOG)(_covariance)


def _covariance(
    target: options.AnyModel,
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier analysis is replaced.")],
    attack: Annotated[
        str,
        typer.Option(
            help="Source of the perturbations: gradient, or an attack such as "
            "pgd:eps=8/255,steps=10 or deepfool:steps=100, away from the predicted class. Defaults "
            "of an attack: eps 8/255, 10 steps of 2 * eps / steps, no random start."
        ),
    ] = "pgd",
    decay_lengths: Annotated[
        str, typer.Option(help="Decay lengths of the noise samples, in pixels.")
    ] = "1,2,4,8,12",
    noise_eps: Annotated[
        str, typer.Option(help="Standard deviation of the noise samples.")
    ] = "0.3",
    line_eps: Annotated[
        str,
        typer.Option(help="Radius of the PGD perturbations along which softmax lines are drawn."),
    ] = "4/255",
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    weights: options.Weights = None,
    split: options.WhichSplit = "test",
    batch_size: options.BatchSize = 250,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise and of the attack.")] = 0,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """Estimate the covariance of a network's adversarial perturbations, and draw it.

    Writes to OUT: covariance files for `train --penalty sgr` and `evaluate --covariance`;
    covariance.json with functions and decay lengths; figures (PNG and SVG); a page, index.html.
    """
    settings = AnalysisSettings(
        attack=attack,
        decay_lengths=_parse_lengths(decay_lengths),
        noise_eps=parse_fraction(noise_eps),
        line_eps=parse_fraction(line_eps),
        batch_size=batch_size,
        seed=seed,
    )
    subject = judged_model(
        target,
        limit=None if every_image else limit,
        weights=weights,
        dataset=dataset,
        data_dir=data_dir,
        split=split,
        image_size=image_size,
        device=device,
    )
    make_folder(out)  # what cannot be written is refused before the work
    with attack_progress(f"{subject.name}: {attack} on {len(subject.images)} images") as progress:
        analysis = analyse_perturbations(subject.model, subject.images, settings, progress=progress)
    config = subject.config
    model = subject.model_name if config is None else MODELS.text(config.model)
    about = {"run": subject.name, "model": model}
    record = write_covariance_analysis(analysis, out, about=about)
    if as_json:
        typer.echo(json.dumps(record))
        return
    _print(subject, out, analysis, record)
    stationary = out / record["files"]["stationary"]["file"]
    same = {
        "--dataset": dataset,
        "--data-dir": data_dir,
        "--image-size": image_size,
        "--weights": weights,
    }
    given = [word for pair in same.items() if pair[1] is not None for word in pair]
    tell_next("evaluate", subject.target, *given, "--attack", "lrc", "--covariance", stationary)


def _print(
    subject: JudgedModel, out: Path, analysis: CovarianceAnalysis, record: dict[str, Any]
) -> None:
    name, attack = source_name(analysis.attack), analysis.attack
    radius = f", eps {eps_text(attack['eps'])}" if "eps" in attack else ""
    where = f"{analysis.dataset['split']} images of {Path(analysis.dataset['name']).name}"
    print_text(
        f"{subject.name}: {name}{radius} on {analysis.perturbations.count:,} {where}, "
        f"seed {analysis.seed}"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("decay length", "within a channel", "between channels"):
        table.add_column(title, justify="left" if title == "decay length" else "right")
    for title, structure in (
        (f"{name} perturbations", analysis.perturbations),
        ("the data", analysis.data),
    ):
        farthest = structure.function.shape[2] - 1
        lengths = (structure.intra_reach, structure.inter_reach)
        table.add_row(title, *(length_text(length, farthest) for length in lengths))
    print_table(table)
    if analysis.perturbations.unchanged:
        tell(f"{count_text(analysis.perturbations.unchanged, 'image')} stayed as they were")
    if caution := shift_caution(analysis.perturbations):
        tell(f"note: {caution}")
    if record["no_dense"]:
        tell(f"no dense file: {record['no_dense']}")
    tell(f"page: {out / 'index.html'}")


def _parse_lengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"expected decay lengths such as 8 or 1,2,4, got {text!r}"
        ) from None

"""``steadygrad evaluate``: the accuracy of a trained network under an attack, radius by radius."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer
from rich.table import Table

from steadygrad.attacks import attack_names, build_attack, norm_of
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.losses import LOSSES
from steadygrad.cli import shared_options as options
from steadygrad.cli.attack_progress import attack_progress
from steadygrad.cli.noise_covariance import noise_covariance
from steadygrad.cli.parsing import parse_fraction
from steadygrad.cli.run_data import load_run_data
from steadygrad.cli.terminal import messages, results
from steadygrad.datasets.loading import Split
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import (
    AccuracyCurve,
    accuracy_curve,
    bisected_curve,
    parse_eps_grid,
    select_gallery,
    write_evaluation,
)
from steadygrad.reports import wording

__all__ = ["evaluate_run", "register"]

Search: TypeAlias = Literal["sweep", "bisection", "separate"]
ChosenTarget: TypeAlias = Literal["random", "least-likely", "all"]
DEFAULT_EPS: dict[Norm, str] = {"linf": "0:0.3:0.02", "l2": "0:3:0.2"}
_SEARCHES: dict[Search, Callable[..., AccuracyCurve]] = {
    "sweep": accuracy_curve,
    "bisection": bisected_curve,
    "separate": partial(accuracy_curve, reuse_broken=False),
}
_EPILOG = (
    "Example: steadygrad evaluate runs/mnist-complex --attack pgd --steps 8 --eps 0:0.3:0.02 "
    "--limit 1000"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate", epilog=_EPILOG)(_evaluate)


def _evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of `steadygrad train`.")],
    attack: Annotated[str, typer.Option(help=f"One of {', '.join(attack_names())}.")] = "pgd",
    eps: Annotated[
        str | None,
        typer.Option(
            help="Radii in pixels: START:STOP:STEP, or a list such as 0,4/255,0.1; of lrc and "
            "white-noise, standard deviations; with --norm l2, lengths of the whole change. "
            rf"\[default: {DEFAULT_EPS['linf']}; with --norm l2 {DEFAULT_EPS['l2']}]"
        ),
    ] = None,
    norm: Annotated[
        Norm | None,
        typer.Option(
            help="Of fgsm, pgd, mim and autoattack: how the change is measured, by its largest "
            r"pixel (linf) or its length (l2). \[default: linf; carlini-wagner has l2 alone]"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help=r"Of pgd, nes, i-fgsm and mim. \[default: 8 of pgd and nes, else 10]"),
    ] = None,
    step_size: Annotated[
        str | None,
        typer.Option(
            help="Of pgd, nes, i-fgsm and mim: length of a step. "
            r"\[default: reach * eps / steps of pgd, 1.85 * eps / steps of nes, else eps / steps]"
        ),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(help=r"Of pgd: how many eps the steps add up to. \[default: 1.85]"),
    ] = None,
    restarts: Annotated[
        int | None, typer.Option(help=r"Of pgd: random starts. \[default: 1]")
    ] = None,
    random_start: Annotated[
        bool | None,
        typer.Option(
            "--random-start/--no-random-start",
            help="Of pgd and nes: start inside the ball at random.",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help=f"Of pgd and nes: what they raise, one of {', '.join(LOSSES)}; of nes also "
            r"logit, probability. \[default: cross-entropy]"
        ),
    ] = None,
    target: Annotated[
        ChosenTarget | None,
        typer.Option(
            help="Of pgd: aim at a wrong class, drawn at random, the least likely, or all in turn."
        ),
    ] = None,
    start_from_prediction: Annotated[
        bool | None,
        typer.Option(
            "--start-from-prediction",
            help="Of pgd and fgsm: attack the predicted, not the true label.",
        ),
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(help=r"Of mim: weight of past gradients. \[default: 1]"),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(help=r"Of nes: how often it asks about an image. \[default: 4000]"),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(help=r"Of nes: how far apart it asks, in pixels. \[default: 0.001]"),
    ] = None,
    stop_early: Annotated[
        bool | None,
        typer.Option("--stop-early", help="Of nes: ask no more about an image that is broken."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help=r"Draws of noise; the worst counts. \[default: 1 of random-noise, else 100]"
        ),
    ] = None,
    decay_length: Annotated[
        float | None,
        typer.Option(help=r"Of lrc: reach of correlation, in pixels. \[default: 8]"),
    ] = None,
    inter_channel: Annotated[
        float | None,
        typer.Option(help=r"Of lrc: correlation of two channels at a pixel. \[default: 0.5]"),
    ] = None,
    covariance: Annotated[
        str | None,
        typer.Option(help="Of lrc, in place of these two: dataset (the run's), or a file."),
    ] = None,
    distribution: Annotated[
        str | None, typer.Option(help="Of random-noise: uniform or sign.")
    ] = None,
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    split: options.WhichSplit = "test",
    search: Annotated[
        Search,
        typer.Option(
            help="sweep: every radius, until an image breaks; bisection: fewer attacks, trusts "
            "that a failed attack also fails at smaller radii; separate: every radius anew."
        ),
    ] = "sweep",
    batch_size: options.BatchSize = 250,
    seed: Annotated[int, typer.Option(help="Of the attack's random draws.")] = 0,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """Attack a trained network and print and store its accuracy at each radius.

    An image broken at one radius counts as broken at every larger one: the curve is each image's
    worst case. Results go to RUN/evaluations.
    """
    settings: dict[str, Any] = {
        "steps": steps,
        "norm": norm,
        "step_size": None if step_size is None else parse_fraction(step_size),
        "reach": reach,
        "restarts": restarts,
        "random_start": random_start,
        "loss": loss,
        "target": target,
        "start_from_prediction": start_from_prediction,
        "decay": decay,
        "queries": queries,
        "sigma": sigma,
        "stop_early": stop_early,
        "samples": samples,
        "distribution": distribution,
        "decay_length": decay_length,
        "inter_channel": inter_channel,
        "covariance": covariance,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    _refuse_idle_reach(given)
    measured_in: Norm = norm or norm_of(build_attack(attack, eps=0.0))
    curve, path = evaluate_run(
        run,
        attack_name=attack,
        attack_settings=given,
        eps_values=parse_eps_grid(eps or DEFAULT_EPS[measured_in], measured_in),
        limit=None if every_image else limit,
        dataset_name=dataset,
        data_dir=data_dir,
        split=split,
        search=search,
        batch_size=batch_size,
        seed=seed,
        device=device,
    )
    if as_json:
        typer.echo(json.dumps(curve.to_json()))
        return
    results.print(
        f"{run.name}: {wording.attack_name(curve.attack)} on {curve.n} images, seed {curve.seed}",
        soft_wrap=True,
    )
    results.print(_table(curve))
    low, high = (100 * bound for bound in curve.mean_ci95)
    results.print(
        f"mean over these eps: {100 * curve.mean_accuracy:.1f} % (95 % interval "
        f"{low:.1f}–{high:.1f})",
        soft_wrap=True,
    )
    messages.print(f"stored in {path}", soft_wrap=True)
    messages.print(f"next: steadygrad compare {run} --out report.html", soft_wrap=True)


def evaluate_run(
    run: Path,
    *,
    attack_name: str,
    attack_settings: dict[str, Any],
    eps_values: tuple[float, ...],
    limit: int | None = 1000,
    dataset_name: str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    search: Search = "sweep",
    batch_size: int = 250,
    seed: int = 0,
    device: str = "auto",
) -> tuple[AccuracyCurve, Path]:
    """Attack the network of a run, store the curve in the run folder, return it and its path.

    attack_settings: of ``build_attack``; a covariance as ``noise_covariance`` reads it.
    """
    named = attack_settings.get("covariance")
    if named is not None:
        attack_settings = attack_settings | {"covariance": None}
    attack = build_attack(attack_name, eps=0.0, **attack_settings)
    if named is not None:
        _refuse_beside_covariance(attack_settings)
    loaded = load_run_data(
        run,
        limit=limit,
        dataset_name=dataset_name,
        data_dir=data_dir,
        split=split,
        device=device,
    )
    trained, data, config = loaded.trained, loaded.images, loaded.trained.config
    described: dict[str, str] = {}
    if named is not None:
        covariance, what = noise_covariance(named, data.input_shape, config, loaded.data_dir)
        attack = build_attack(attack_name, eps=0.0, **attack_settings | {"covariance": covariance})
        described["covariance"] = what
    images, labels = data.images(), data.labels
    with attack_progress(f"{run.name}: {attack_name} on {len(data)} images") as progress:
        curve = _SEARCHES[search](
            trained.model,
            images,
            labels,
            attack,
            eps_values,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
    curve = dataclasses.replace(curve, attack=curve.attack | described)
    gallery = select_gallery(trained.model, images, labels, attack, curve)
    path = write_evaluation(
        run, curve, labels=labels, dataset=data, model_name=config.model, gallery=gallery
    )
    return curve, path


def _refuse_beside_covariance(attack_settings: dict[str, Any]) -> None:
    for name in ("decay_length", "inter_channel"):
        if name in attack_settings:
            raise HyperparameterError(
                f"{name} {attack_settings[name]:g} has no effect along with a covariance; leave "
                "one of them out"
            )


def _refuse_idle_reach(attack_settings: dict[str, Any]) -> None:
    if "reach" in attack_settings and "step_size" in attack_settings:
        raise HyperparameterError(
            f"reach {attack_settings['reach']:g} has no effect along with a step size; leave one "
            "of them out"
        )


def _table(curve: AccuracyCurve) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("eps", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    for point in curve.points:
        low, high = point.ci95
        table.add_row(
            f"{point.eps:.4g}", f"{100 * point.accuracy:.1f} %", f"{100 * low:.1f}–{100 * high:.1f}"
        )
    return table

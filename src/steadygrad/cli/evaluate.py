"""``steadygrad evaluate``: the accuracy of a trained network under an attack, radius by radius."""

import json
from typing import Annotated

import typer

from steadygrad.cli import shared_options as options
from steadygrad.cli.attack_progress import attack_progress
from steadygrad.cli.judged import judged_model, place_of_results
from steadygrad.cli.terminal import print_table, print_text, tell, tell_next
from steadygrad.cli.together import measured_together
from steadygrad.evaluation.runs import DEFAULT_EPS, Search, evaluate
from steadygrad.reports import wording
from steadygrad.reports.curve import curve_table

__all__ = ["register"]

_EPILOG = (
    "Examples: steadygrad evaluate runs/mnist-complex --attack pgd:steps=8 --eps 0:0.3:0.02; "
    "steadygrad evaluate runs/mnist-complex --attack fgsm:norm=l2 --eps 0:3:0.5 --limit 1000; "
    "steadygrad evaluate timm:resnet50 --dataset folder/ --image-size 224 --eps 0,1/255,2/255"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate", epilog=_EPILOG)(_evaluate)


def _evaluate(
    target: options.AnyModel,
    attack: options.Attack = "pgd",
    eps: Annotated[
        str | None,
        typer.Option(
            help="Radii in pixels: START:STOP:STEP, or a list such as 0,4/255,0.1. For lrc and "
            "white-noise: standard deviations; with norm=l2: length of the whole change. "
            rf"\[default: {DEFAULT_EPS['linf']}; with norm=l2 {DEFAULT_EPS['l2']}]"
        ),
    ] = None,
    covariance: Annotated[
        str | None,
        typer.Option(
            help="For lrc, instead of a decay length: dataset (the run's training images), or a "
            "file of `steadygrad covariance`.",
            show_default=False,
        ),
    ] = None,
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    weights: options.Weights = None,
    out: options.OwnFolder = None,
    split: options.WhichSplit = "test",
    search: Annotated[
        Search,
        typer.Option(
            help="sweep: each radius in turn, until an image is misclassified; continued: pgd "
            "only, each radius goes on from the one before, in about half the time; bisection: "
            "fewer attacks, assumes that what fails at one radius fails at smaller ones; separate: "
            "every image at every radius; distance: one run of fmn, ddn, carlini-wagner or "
            "hop-skip-jump, which look for the nearest adversarial image, gives all radii."
        ),
    ] = "sweep",
    batch_size: options.BatchSize = 250,
    seed: options.AttackSeed = 0,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """Attack a trained network and print and store its accuracy at each radius.

    An image broken at one radius counts as broken at every larger one: the curve is each image's
    worst case. Results go to RUN/evaluations, or to OUT/evaluations.
    """
    with measured_together(device):
        judged = judged_model(
            target,
            limit=None if every_image else limit,
            weights=weights,
            dataset=dataset,
            data_dir=data_dir,
            split=split,
            image_size=image_size,
            device=device,
        )
        with attack_progress(f"{judged.name}: {attack}") as progress:
            curve, path = evaluate(
                judged,
                attack,
                eps,
                covariance=covariance,
                search=search,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
                folder=place_of_results(judged, out),
            )
    if as_json:
        typer.echo(json.dumps(curve.to_json()))
        return
    print_text(
        f"{judged.name}: {wording.attack_name(curve.attack)} on {curve.n} images, seed {curve.seed}"
    )
    print_table(curve_table(curve))
    low, high = (100 * bound for bound in curve.mean_ci95)
    print_text(
        f"mean over these eps: {100 * curve.mean_accuracy:.1f} % (95 % interval "
        f"{low:.1f}–{high:.1f})"
    )
    if caution := wording.caution_text(curve.attack):
        tell(caution)
    if path is not None:
        tell(f"stored in {path}")
        if judged.run is not None and out is None:
            tell_next("compare", judged.run, "--out", "report.html")

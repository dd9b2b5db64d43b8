"""``steadygrad margin``: how far images are from changing their class, by DeepFool."""

import json
from typing import Annotated

import typer

from steadygrad.attacks import ATTACKS, DeepFool
from steadygrad.cli import shared_options as options
from steadygrad.cli.attack_progress import attack_progress
from steadygrad.cli.judged import judged_model, place_of_results
from steadygrad.cli.terminal import print_text, tell
from steadygrad.cli.together import measured_together
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.margins import Margins, deepfool_margins, write_margins
from steadygrad.parts.reading import split_name

__all__ = ["register"]

_EPILOG = "Example: steadygrad margin runs/mnist-complex --attack deepfool:steps=50 --limit 1000"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("margin", epilog=_EPILOG)(_margin)


def _margin(
    target: options.AnyModel,
    attack: Annotated[
        str,
        typer.Option(
            help="deepfool with settings: overshoot (how far beyond the boundary, as a fraction of "
            "the way to it), steps (at most, per image), candidates (other classes to try)."
        ),
    ] = "deepfool",
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    weights: options.Weights = None,
    out: options.OwnFolder = None,
    split: options.WhichSplit = "test",
    batch_size: options.BatchSize = 250,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """Measure the smallest change of each image that changes its predicted class.

    DeepFool looks for the shortest perturbation r of an image x that leads to another class; the
    figure is the mean of |r| / |x|, in Euclidean lengths. Larger is more robust. Results go to
    RUN/evaluations/margins, or to OUT.
    """
    name = split_name(attack)[0]
    if name not in ATTACKS.names() or not issubclass(ATTACKS.get(name), DeepFool):
        raise HyperparameterError(f"expected deepfool, which measures margins, got {attack!r}")
    chosen = ATTACKS.parse(attack)
    assert isinstance(chosen, DeepFool)
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
        images = judged.images
        folder = place_of_results(judged, out)
        with attack_progress(f"{judged.name}: deepfool on {len(images)} images") as progress:
            margins = deepfool_margins(
                judged.model, images.images(), chosen, batch_size=batch_size, progress=progress
            )
        path = None
        if folder is not None:
            path = write_margins(
                folder,
                margins,
                dataset=images,
                model_name=judged.model_name,
                digest=judged.digest,
            )
    if as_json:
        typer.echo(json.dumps(margins.to_json()))
        return
    for line in _lines(judged.name, margins):
        print_text(line)
    if path is not None:
        tell(f"stored in {path}")


def _lines(name: str, margins: Margins) -> list[str]:
    attack = margins.attack
    lines = [
        f"{name}: deepfool on {margins.n} images, overshoot {attack['overshoot']:g}, "
        f"at most {attack['steps']} steps"
    ]
    if margins.mean is not None:
        interval = ""
        if margins.ci95 is not None:
            interval = " (95 % interval {:.4f}–{:.4f})".format(*margins.ci95)
        lines.append(f"mean |r|/|x|: {margins.mean:.4f}{interval}")
        lines.append(f"median: {margins.median:.4f}")
    held = margins.n - int(margins.broken.sum())
    caution = "; the figures leave them out and are too low" if 0 < held < margins.n else ""
    lines.append(f"kept their class: {held} ({100 * margins.unbroken:.1f} %){caution}")
    black = int((margins.broken & ~margins.relative.isfinite()).sum())
    if black:
        lines.append(f"all black, so that |r|/|x| has no value: {black}; left out")
    return lines

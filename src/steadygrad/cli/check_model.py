"""``steadygrad check-model``: what matters about a network before hours are spent on it."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from steadygrad.cli import shared_options as options
from steadygrad.cli.terminal import REFUSED, results, tell
from steadygrad.devices import resolve_device
from steadygrad.errors import HyperparameterError
from steadygrad.hardening import ModelCheck, check_model
from steadygrad.models import Classifier, load_classifier, model_source

__all__ = ["register"]

_EPILOG = (
    "Examples: steadygrad check-model timm:resnet50,pretrained=false; "
    "steadygrad check-model my_package.networks:build --weights w.pt --shape 3x32x32"
)
_COLOURS = {"good": "green", "note": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("check-model", epilog=_EPILOG)(_check)


def _check(
    target: Annotated[
        str,
        typer.Argument(
            help="Run folder, a name of `steadygrad models`, package.module:callable,key=value, "
            "timm:NAME, torchvision:NAME or hf:NAME_OR_FOLDER."
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="As in `steadygrad harden`.", show_default=False)
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help=r"CHANNELSxHEIGHTxWIDTH of the images. \[default: the model's own]",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """List what a network is made of, whether it can be penalised, and what a step costs.

    Exit code 2: the network cannot be trained with an exact penalty as it is.
    """
    source = model_source(target, weights)
    model = load_classifier(source)
    own: tuple[int, int, int] | None = getattr(source, "input_shape", None)
    if isinstance(model, Classifier) and model.image_size is not None:
        own = 3, model.image_size, model.image_size
    checked = check_model(model.to(resolve_device(device)), input_shape=_shape(shape, own))
    if as_json:
        typer.echo(json.dumps(checked.to_json(), indent=2))
    else:
        _print(checked)
    if isinstance(model, Classifier) and not as_json:
        tell(f"{target}: {model.describe()}")
    if not checked.is_ready:
        raise typer.Exit(REFUSED)


def _shape(text: str | None, own: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if text is None:
        if own is None:
            raise HyperparameterError(
                "expected --shape CHANNELSxHEIGHTxWIDTH, because the model does not state it"
            )
        return own
    try:
        channels, height, width = (int(number) for number in text.split("x"))
        if min(channels, height, width) < 1:
            raise ValueError
    except ValueError:
        raise HyperparameterError(f"expected a shape such as 3x224x224, got {text!r}") from None
    return channels, height, width


def _print(checked: ModelCheck) -> None:
    for finding in checked.findings:
        colour = _COLOURS[finding.level]
        results.print(
            f"[{colour}]{finding.level}[/] {finding.topic}: {escape(finding.sentence)}",
            soft_wrap=True,
        )
    table = Table(box=None, pad_edge=False)
    for title in ("step", "seconds", "of plain", "peak memory"):
        table.add_column(title, justify="left" if title == "step" else "right")
    for cost in checked.costs:
        if cost.seconds is None or cost.relative is None:
            table.add_row(cost.kind, escape(cost.refused), "", "")
            continue
        memory = "" if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:,.0f} MiB"
        table.add_row(cost.kind, f"{cost.seconds:.3f}", f"{cost.relative:.2f}", memory)
    results.print(table)
    results.print(f"{checked.parameters:,} parameters, {checked.classes} classes")

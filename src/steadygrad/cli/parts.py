"""``steadygrad parts``: everything that can be named, with its settings."""

import inspect
import json
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from steadygrad.attacks import ATTACKS
from steadygrad.cli import shared_options as options
from steadygrad.cli.terminal import results
from steadygrad.covariance import COVARIANCES, SOURCES
from steadygrad.datasets import AUGMENTATIONS, DATA_SOURCES
from steadygrad.errors import UnknownNameError
from steadygrad.evaluation.masking import DIAGNOSTICS
from steadygrad.models import MODELS
from steadygrad.parts import Family, nearest, value_text
from steadygrad.penalties import BACKENDS, LOSSES, NORMS, PENALTIES
from steadygrad.training import (
    AVERAGES,
    CLIPPINGS,
    MIXINGS,
    OPTIMIZERS,
    RECIPES,
    SCHEDULES,
    TRACKERS,
    TUNINGS,
)

__all__ = ["FAMILIES", "register"]

FAMILIES: dict[str, Family[Any]] = {
    family.kind.replace(" ", "-"): family
    for family in (
        PENALTIES,
        NORMS,
        BACKENDS,
        LOSSES,
        COVARIANCES,
        SOURCES,
        ATTACKS,
        AUGMENTATIONS,
        DATA_SOURCES,
        MODELS,
        OPTIMIZERS,
        SCHEDULES,
        AVERAGES,
        CLIPPINGS,
        MIXINGS,
        TUNINGS,
        TRACKERS,
        RECIPES,
        DIAGNOSTICS,
    )
}
"""Every family by the name of one of its parts."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: steadygrad parts attack pgd")(parts)


def parts(
    family: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(FAMILIES)}.", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(help="A part of this family, to show in full.", show_default=False),
    ] = None,
    as_json: options.JsonOnly = False,
) -> None:
    """List everything that commands and TOML files can name, with settings and defaults.

    A part is written NAME or NAME:key=value,...; settings of a nested part have dotted keys
    (penalty sgr:strength=0.1,covariance=exponential,covariance.decay_length=4).
    """
    chosen = FAMILIES if family is None else {family: _family(family)}
    names = {
        kind: ((name,) if name is not None else of.usable_names()) for kind, of in chosen.items()
    }
    if as_json:
        listed = {kind: [_row(of, n) for n in names[kind]] for kind, of in chosen.items()}
        typer.echo(json.dumps(listed, indent=2))
        return
    for kind, of in chosen.items():
        rows = {each: _row(of, each) for each in names[kind]}  # an unknown name prints no heading
        results.print(Text(f"{kind} ({of.group})", style="bold"))
        for each, row in rows.items():
            settings = ", ".join(
                key if value is None else f"{key}={value}" for key, value in row["settings"].items()
            )
            results.print(
                Padding(Text(f"{each}{': ' if settings else ''}{settings}"), (0, 0, 0, 2))
            )
            text = inspect.getdoc(of.get(each)) if name is not None else row["summary"]
            results.print(Padding(Text(text or "", style="dim"), (0, 0, 0, 6)))


def _family(kind: str) -> Family[Any]:
    if kind not in FAMILIES:
        raise UnknownNameError(
            f"unknown family {kind!r}{nearest(kind, list(FAMILIES))}; "
            f"choose one of {', '.join(FAMILIES)}"
        )
    return FAMILIES[kind]


def _row(family: Family[Any], name: str) -> dict[str, Any]:
    """Return a part's settings, None for one without a default, and its docstring's first line."""
    settings = {
        setting.key: None if setting.is_needed else value_text(setting.default, setting)
        for setting in family.settings(name)
    }
    summary = (inspect.getdoc(family.get(name)) or "").partition("\n\n")[0].replace("\n", " ")
    return {"name": name, "settings": settings, "summary": summary}

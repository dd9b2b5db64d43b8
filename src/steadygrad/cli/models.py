"""``steadygrad models``: what can be trained by name, and how large it is."""

import json
from typing import Any

import typer

from steadygrad.cli import shared_options as options
from steadygrad.cli.listing import print_listing
from steadygrad.cli.terminal import results
from steadygrad.errors import UnknownNameError
from steadygrad.models import (
    build_model,
    mac_count,
    model_entry,
    model_names,
    parameter_count,
    published_counts,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: steadygrad models --json")(models)


def models(
    as_json: options.JsonOnly = False,
) -> None:
    """List the networks, with their parameters and multiply-accumulates (MACs)."""
    rows = [_row(name) for name in model_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    print_listing(
        {"name": False, "input": False, "parameters": True, "MACs": True},
        [
            (
                row["name"],
                "x".join(map(str, row["input_shape"])),
                f"{row['parameters']:,}",
                f"{row['macs']:,}",
            )
            for row in rows
        ],
        [_sentence(row) for row in rows],
    )
    results.print(
        "\nCounts are real numbers: a complex parameter counts as two, a complex MAC as four. "
        "'prints' is the number in the paper's table where it differs from our count."
    )


def _sentence(row: dict[str, Any]) -> str:
    sentence = f"{row['description']} ({row['source']})"
    printed = row["printed"]
    if printed is None:
        return sentence
    return f"{sentence}; prints {printed['parameters']:,} parameters, {printed['macs']:,} MACs"


def _row(name: str) -> dict[str, Any]:
    entry, model = model_entry(name), build_model(name)
    counts = (parameter_count(model), mac_count(model, entry.input_shape))
    try:
        printed = published_counts(name)
    except UnknownNameError:
        printed = counts
    return {
        "name": name,
        "input_shape": list(entry.input_shape),
        "classes": entry.num_classes,
        "parameters": counts[0],
        "macs": counts[1],
        "printed": None if printed == counts else {"parameters": printed[0], "macs": printed[1]},
        "description": entry.description,
        "source": entry.source,
    }

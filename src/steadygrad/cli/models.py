"""``steadygrad models``: what can be trained by name, and how large it is."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List the networks, with their parameters and multiply-accumulates (MACs)."""
    rows = [_row(name) for name in model_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("input", no_wrap=True)
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("printed (parameters, MACs)", justify="right")
    table.add_column("what it is", overflow="fold")
    for row in rows:
        printed = row["printed"]
        table.add_row(
            row["name"],
            "x".join(map(str, row["input_shape"])),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{printed['parameters']:,}, {printed['macs']:,}" if printed else "",
            f"{row['description']} ({row['source']})",
        )
    results.print(table)
    results.print(
        "\nCounts are real numbers: a complex parameter is two, a complex MAC four. 'printed' is "
        "what the paper's table says where that differs from the truth."
    )


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

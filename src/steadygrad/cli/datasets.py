"""``steadygrad datasets``: the image sets known by name, and where each can be read from."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from steadygrad.cli import shared_options as options
from steadygrad.cli.listing import print_listing
from steadygrad.cli.terminal import results
from steadygrad.datasets import dataset_entry, dataset_names

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: steadygrad datasets --data-dir ~/data")(datasets)


def datasets(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with local copies; says which sets lie there."),
    ] = None,
    as_json: options.JsonOnly = False,
) -> None:
    """List the data sets that can be loaded by name."""
    rows = [_row(name, data_dir) for name in dataset_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    print_listing(
        {"name": False, "input": False, "train / test": True, "source": False},
        [
            (
                row["name"],
                "x".join(map(str, row["input_shape"])),
                f"{row['train']:,} / {row['test']:,}",
                row["source"],
            )
            for row in rows
        ],
        [row["description"] + (f" ({row['note']})" if row["note"] else "") for row in rows],
    )
    results.print(
        "\nAny folder with train-*.parquet and test-*.parquet (columns image and label), or with "
        "image files in train/CLASS/ and test/CLASS/, works as --dataset PATH, and a set on the "
        "Hugging Face hub as --dataset hub:OWNER/NAME."
    )


def _row(name: str, data_dir: Path | None) -> dict[str, Any]:
    entry = dataset_entry(name)
    is_local = data_dir is not None and any((data_dir / name).glob("*.parquet"))
    if name == "digits":
        source = "built in"
    elif is_local:
        source = "local"
    else:
        source = f"hub: {entry.hub_id}" if entry.hub_id else "needs --data-dir"
    return {
        "name": name,
        "input_shape": list(entry.input_shape),
        "classes": entry.num_classes,
        "train": entry.train_size,
        "test": entry.test_size,
        "source": source,
        "description": entry.description,
        "note": entry.note,
    }

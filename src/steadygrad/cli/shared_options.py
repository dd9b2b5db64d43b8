"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from steadygrad.datasets.loading import Split

__all__ = [
    "BatchSize",
    "DataDir",
    "Dataset",
    "Device",
    "EveryImage",
    "FirstImages",
    "JsonOnly",
    "WhichSplit",
]

FirstImages = Annotated[int, typer.Option("--limit", help="The first N images; more take longer.")]
EveryImage = Annotated[bool, typer.Option("--all", help="The whole split, whatever --limit says.")]
Dataset = Annotated[
    str | None,
    typer.Option(
        help=r"Name (see `steadygrad datasets`) or folder. \[default: the run's]",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help=r"Folder with local copies. \[default: the run's]", show_default=False),
]
WhichSplit = Annotated[Split, typer.Option(help="Which part of the data set.")]
BatchSize = Annotated[int, typer.Option(help="Images attacked together.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
JsonOnly = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from steadygrad.attacks import ATTACKS
from steadygrad.datasets.loading import Split

__all__ = [
    "AnyModel",
    "Attack",
    "AttackSeed",
    "BatchSize",
    "DataDir",
    "Dataset",
    "Device",
    "EveryImage",
    "FirstImages",
    "ImageSize",
    "JsonOnly",
    "OwnFolder",
    "Weights",
    "WhichSplit",
]

ANY_MODEL = (
    "package.module:callable,key=value, timm:NAME, torchvision:NAME, or hf:NAME_OR_FOLDER; "
    "settings follow the name, as in timm:resnet50,resize=224."
)
"""How a model from outside is named."""

AnyModel = Annotated[str, typer.Argument(help=f"Run folder, {ANY_MODEL}")]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Weights of another model: safetensors, a state dict, a trainer's checkpoint or a "
        "folder.",
        show_default=False,
    ),
]
OwnFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help=r"Folder of the result. \[default: the run's; nothing is stored of other models]",
        show_default=False,
    ),
]

Attack = Annotated[
    str,
    typer.Option(
        help="NAME or NAME:key=value,... such as pgd:steps=20,restarts=5. "
        f"Names: {', '.join(ATTACKS.names_with_eps())}."
    ),
]
AttackSeed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the attack's random draws.")
]
FirstImages = Annotated[int, typer.Option("--limit", help="Use the first N images.")]
EveryImage = Annotated[
    bool, typer.Option("--all", help="Use all images of the split; overrides --limit.")
]
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
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        help="Scale and crop images to squares of this side; needed if sizes differ.",
        show_default=False,
    ),
]
WhichSplit = Annotated[Split, typer.Option(help="Which part of the data set.")]
BatchSize = Annotated[int, typer.Option(help="Images attacked together.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
JsonOnly = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

"""``steadygrad transfer``: adversarial examples of some networks, shown to others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from steadygrad.atomic_file import write_atomically
from steadygrad.checks import check_batch_size
from steadygrad.cli import shared_options as options
from steadygrad.cli.attack_progress import attack_progress
from steadygrad.cli.commands import OnceCommand
from steadygrad.cli.judged import each_once, judged_model
from steadygrad.cli.parsing import parse_fraction
from steadygrad.cli.terminal import print_table, tell
from steadygrad.cli.together import measured_together
from steadygrad.datasets import ImageDataset
from steadygrad.datasets.loading import Split
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.evaluation import transfer_matrix, write_transfer
from steadygrad.evaluation.auditing.entry import attack_of_text
from steadygrad.evaluation.judged import JudgedModel
from steadygrad.evaluation.model_names import distinct_names
from steadygrad.models import RunModel, model_source
from steadygrad.reports.figures.canvas import save_figure
from steadygrad.reports.transfer import (
    transfer_csv,
    transfer_figure,
    transfer_markdown,
    transfer_table,
)
from steadygrad.reports.wording import caution_text
from steadygrad.store import Store, make_folder
from steadygrad.training import run_config

__all__ = ["register"]

_EPILOG = (
    "Example: steadygrad transfer runs/real runs/complex --victims runs/real-2 runs/complex-2 "
    "--attack fgsm --eps 0.16 --out transfer"
)


class _SeveralVictims(OnceCommand):
    """Take every word after ``--victims`` up to the next option, as a shell's ``*`` gives them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _one_option_each(args))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("transfer", cls=_SeveralVictims, epilog=_EPILOG)(_transfer)


def _transfer(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help=f"The sources, to attack: {options.ANY_MODEL}"),
    ],
    eps: Annotated[
        str, typer.Option(help="Radius in pixels, such as 0.1 or 8/255.", show_default=False)
    ],
    victims: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL ...",
            help=r"Models to test the examples on. \[default: the sources]",
            show_default=False,
        ),
    ] = None,
    attack: options.Attack = "fgsm",
    out: Annotated[Path, typer.Option(help="Folder of all results.")] = Path("transfer"),
    save_examples: Annotated[
        bool,
        typer.Option(help="Store each source's examples in OUT/examples, for later calls."),
    ] = True,
    only_common: Annotated[
        bool,
        typer.Option(
            "--only-common", help="Count only images that all classify correctly without attack."
        ),
    ] = False,
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    split: options.WhichSplit = "test",
    batch_size: options.BatchSize = 250,
    seed: options.AttackSeed = 0,
    device: options.Device = "auto",
    as_json: options.JsonOnly = False,
) -> None:
    """Attack some networks and measure how well their adversarial examples fool others.

    Prints the accuracy of every victim (row) on the examples of every source (column), with the
    sources' own accuracy in the row "self". To see how well a way of training
    withstands itself, as in the papers, give a second network with another seed as the victim.
    Examples in OUT are reused if weights and settings are the same.
    """
    chosen = attack_of_text(attack, eps=parse_fraction(eps))
    names = distinct_names([*runs, *(victims or ())])
    sources = each_once(runs, names)
    shown_to = None if victims is None else each_once(victims, names)
    if dataset is None:
        _check_one_dataset(sources | (shown_to or {}))
    kept = f"examples of sources that were finished are in {out}" if save_examples else ""
    with measured_together(device, kept) as ranks:
        loaded = {
            name: _load(
                target, None if every_image else limit, dataset, data_dir, split, image_size, device
            )
            for name, target in (sources | (shown_to or {})).items()
        }
        data = _shared_images(loaded)
        check_batch_size(batch_size)
        if ranks.is_main:
            make_folder(out)  # what cannot be written is refused before the work
        title = f"{attack} on {len(sources)} x {len(data)} images"
        with attack_progress(title) as progress:
            matrix = transfer_matrix(
                _models(loaded, sources),
                data.images(),
                data.labels,
                chosen,
                victims=None if shown_to is None else _models(loaded, shown_to),
                only_common=only_common,
                batch_size=batch_size,
                seed=seed,
                store=Store(out / "examples" if save_examples else None, tell),
                dataset=data.name,
                split=data.split,
                progress=progress,
            )
    if not ranks.is_main:
        return
    record = {"name": data.name, "split": data.split, "n": len(data), "note": data.note}
    path = write_transfer(out / "transfer.json", matrix, dataset=record)
    write_atomically(out / "transfer.csv", transfer_csv(matrix).encode())
    write_atomically(out / "transfer.md", transfer_markdown(matrix).encode())
    figure = transfer_figure(matrix)
    for suffix in (".png", ".svg"):
        save_figure(figure, out / f"transfer{suffix}")
    if as_json:
        typer.echo(json.dumps(matrix.to_json()))
        return
    print_table(transfer_table(matrix))
    if caution := caution_text(matrix.attack):
        tell(caution)
    tell(f"stored in {path} and beside it (.csv, .md, .png, .svg)")


def _one_option_each(arguments: Sequence[str]) -> list[str]:
    """Return the words with ``--victims`` repeated before each of the runs that follow it."""
    expanded: list[str] = []
    previous, is_victim = "", False
    for word in arguments:
        if word.startswith("-"):
            # A value that follows "=" is the first victim.
            is_victim = word.partition("=")[0] == "--victims"
        elif is_victim and previous != "--victims":
            expanded.append("--victims")
        expanded.append(word)
        previous = word
    return expanded


def _load(
    target: str,
    limit: int | None,
    dataset: str | None,
    data_dir: Path | None,
    split: Split,
    image_size: int | None,
    device: str,
) -> JudgedModel:
    try:
        return judged_model(
            target,
            limit=limit,
            dataset=dataset,
            data_dir=data_dir,
            split=split,
            image_size=image_size,
            device=device,
        )
    except ModelError as error:
        if target in str(error):
            raise
        raise ModelError(f"{target}: {error}") from error


def _check_one_dataset(targets: dict[str, str]) -> None:
    sources = {name: model_source(target) for name, target in targets.items()}
    datasets = {
        name: run_config(source.path).data_title
        for name, source in sources.items()
        if isinstance(source, RunModel)
    }
    first = next(iter(datasets), None)
    for name, dataset in datasets.items():
        if first is not None and dataset != datasets[first]:
            raise HyperparameterError(
                f"expected runs of one data set, or --dataset: {first} is of {datasets[first]}, "
                f"{name} of {dataset}"
            )


def _shared_images(loaded: dict[str, JudgedModel]) -> ImageDataset:
    """Return the images; refuse runs that were held back other images of one data set."""
    (first_name, first), *others = ((name, run.images) for name, run in loaded.items())
    for name, images in others:
        is_same = torch.equal(first.pixels, images.pixels)
        if not (is_same and torch.equal(first.labels, images.labels)):
            raise HyperparameterError(
                f"{first_name} and {name} do not share the {first.split} images of {first.name}; "
                "were they trained with another validation_size?"
            )
    return first


def _models(loaded: dict[str, JudgedModel], chosen: dict[str, str]) -> dict[str, nn.Module]:
    return {name: loaded[name].model for name in chosen}

"""``steadygrad audit``: a battery of attacks on anyone's model, and whether to believe the rest."""

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.markup import escape
from rich.text import Text
from torch import nn

from steadygrad.attacks import ATTACKS
from steadygrad.attacks.ball import Norm
from steadygrad.cli import shared_options as options
from steadygrad.cli.audit_progress import audit_progress
from steadygrad.cli.judged import each_once, judged_model
from steadygrad.cli.parsing import parse_fraction
from steadygrad.cli.terminal import (
    FAILED,
    INTERRUPTED,
    REFUSED,
    messages,
    print_table,
    print_text,
    results,
    tell,
)
from steadygrad.cli.together import measured_together
from steadygrad.distributed import main_rank_first
from steadygrad.errors import HyperparameterError, OutputError
from steadygrad.evaluation.auditing import (
    ACCEPTABLE,
    AuditResult,
    Budget,
    Problem,
    UnfitError,
    audit,
)
from steadygrad.evaluation.auditing.gate import FAIL_LEVELS, Gate, Measure
from steadygrad.evaluation.divided_batches import same_model_everywhere
from steadygrad.evaluation.model_names import distinct_names
from steadygrad.models import load_classifier
from steadygrad.reports.audit import export_audit
from steadygrad.reports.audit.summary import audit_table
from steadygrad.reports.audit.words import autoattack_sentence
from steadygrad.store import make_folder
from steadygrad.training.process_group import device_of_process, launched_ranks

__all__ = ["register"]

_EPILOG = (
    "Examples: steadygrad audit runs/mnist-complex --eps 0.1 --out audit; "
    "steadygrad audit my_package.networks:build --weights w.safetensors --dataset cifar10 "
    "--data-dir data --eps 8/255 --budget full --out audit"
)
_BELIEF = {
    "no sign of masking": "green",
    "doubtful": "yellow",
    "masked": "bold red",
    "incomplete": "yellow",
    "nothing tested": "bold red",
}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("audit", epilog=_EPILOG)(_audit)


def _audit(
    target: options.AnyModel,
    eps: Annotated[
        str, typer.Option(help="Radius in pixels, such as 0.1 or 8/255.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page and all results.")] = Path("audit"),
    norm: Annotated[
        Literal["linf", "l2"], typer.Option(help="Norm that eps is measured in.")
    ] = "linf",
    budget: Annotated[
        Budget,
        typer.Option(
            help="quick: seconds to minutes; standard: gradient, query and ensemble attacks; "
            "full: all of AutoAttack, and more steps of the others."
        ),
    ] = "standard",
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time that it may take: the most promising attacks come first, and what was left "
            "out is listed.",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = None,
    dataset: options.Dataset = None,
    data_dir: options.DataDir = None,
    split: options.WhichSplit = "test",
    image_size: options.ImageSize = None,
    limit: options.FirstImages = 1000,
    every_image: options.EveryImage = False,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model, named as the first, to transfer attacks from; repeatable.",
            show_default=False,
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="Another attack, NAME or NAME:key=value,... such as pgd:steps=200; "
            f"repeatable. Names: {', '.join(ATTACKS.names_with_eps(get_args(Norm)))}.",
            show_default=False,
        ),
    ] = None,
    diagnostics: Annotated[
        bool,
        typer.Option("--diagnostics/--no-diagnostics", help="Look for gradient masking."),
    ] = True,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Continue although this problem would stop the audit; repeatable. "
            f"Names: {', '.join(ACCEPTABLE)}.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        str, typer.Option(help="Images attacked together: auto (fit to memory) or a number.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    device: options.Device = "auto",
    fail_under: Annotated[
        float | None,
        typer.Option(help="Exit with 1 if the accuracy is below this, such as 0.40."),
    ] = None,
    fail_measure: Annotated[
        Measure | None,
        typer.Option(
            help="Accuracy that --fail-under checks: in the worst case, the lower end of its "
            r"95 % interval, or without attack. \[default: worst-case]",
            show_default=False,
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help=f"Exit with 1 at these verdicts, separated by commas: {', '.join(FAIL_LEVELS)}.",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write a JUnit report.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Also write a SARIF log.")] = None,
    robustbench: Annotated[
        Path | None, typer.Option(help="Also write JSON with RobustBench's keys.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write a summary for a pull request.")
    ] = None,
    model_index: Annotated[
        Path | None, typer.Option(help="Also write a model card's model-index, YAML.")
    ] = None,
    as_json: options.JsonOnly = False,
) -> None:
    """Attack any classifier in several ways and report if its accuracy can be trusted.

    Exit code 0: done; 1: done, and --fail-under or --fail-on is not met; 2: refused;
    3: an unexpected error.

    Writes audit.html and audit.json to --out. Finished attacks are stored there, so that the same
    command continues after an interruption, and another one runs only the attacks that are new.
    """
    gate = _gate(fail_under, fail_measure, fail_on)
    forms = {
        "junit": junit,
        "sarif": sarif,
        "robustbench": robustbench,
        "markdown": markdown,
        "model-index": model_index,
    }
    files = {form: path for form, path in forms.items() if path is not None}
    if launched_ranks().is_main:
        _prepare_reports(files, out)
    radius = parse_fraction(eps)
    size = _batch_size(batch_size)
    shown = None if every_image else limit
    others = each_once(source or (), distinct_names(source or ()))
    kept = f"finished attacks are in {out}, and the same command continues from there"
    try:
        with measured_together(device, kept) as ranks:
            audited = judged_model(
                target,
                limit=shown,
                weights=weights,
                dataset=dataset,
                data_dir=data_dir,
                split=split,
                image_size=image_size,
                device=device,
            )
            with main_rank_first():
                sources = {name: _load_source(path, device) for name, path in others.items()}
            same_model_everywhere(*sources.values())
            data = audited.images
            with audit_progress() as progress:
                result = audit(
                    audited.model,
                    data,
                    eps=radius,
                    norm=norm,
                    budget=budget,
                    attacks=attack or (),
                    sources=sources,
                    out=out,
                    batch_size=size,
                    seed=seed,
                    progress=progress,
                    notify=tell,
                    diagnostics=diagnostics,
                    accept=accept or (),
                    minutes=minutes,
                    model_name=audited.name,
                )
    except UnfitError as error:
        _print_problems(error.problems)
        raise typer.Exit(REFUSED) from error
    except KeyboardInterrupt:
        tell(f"stopped; {kept}")
        raise typer.Exit(INTERRUPTED) from None
    if not ranks.is_main:
        return
    for form, path in files.items():
        export_audit(form, result, path, gate)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        _print_problems(result.fitness)
        print_text(
            f"{audited.name} on {result.n:,} {data.split} images of {data.name}, "
            f"eps {eps} ({norm}), seed {seed}"
        )
        _print_result(result)
        tell(f"page: {out / 'audit.html'}")
    failure = gate.failure(result)
    if failure is not None:
        tell(f"failed: {failure}")
        raise typer.Exit(FAILED)


def _gate(fail_under: float | None, measure: Measure | None, fail_on: str | None) -> Gate:
    """Return when the audit fails; refuse options under which nothing can."""
    if measure is not None and fail_under is None:
        raise HyperparameterError(
            f"expected --fail-under along with --fail-measure, got {measure} without"
        )
    return Gate(
        fail_under=fail_under,
        measure=measure or "worst-case",
        fail_on=() if fail_on is None else tuple(name.strip() for name in fail_on.split(",")),
    )


def _prepare_reports(files: dict[str, Path], out: Path) -> None:
    """Make the folders of the reports; refuse before the work what cannot be written after it."""
    taken = {(out / name).resolve(): "the audit's own" for name in ("audit.html", "audit.json")}
    for form, path in files.items():
        if path.is_dir():
            raise OutputError(f"expected a file for --{form}, but {path} is a folder")
        if (owner := taken.get(path.resolve())) is not None:
            raise OutputError(f"expected a file of its own for --{form}, but {path} is {owner}")
        taken[path.resolve()] = f"that of --{form}"
        make_folder(path.parent)


def _load_source(target: str, device: str) -> nn.Module:
    """Return another model, to transfer attacks from."""
    return load_classifier(target).to(device_of_process(device)).eval()


def _batch_size(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise HyperparameterError(f"expected batch_size auto or a number, got {text!r}") from None


def _print_problems(problems: tuple[Problem, ...]) -> None:
    for problem in sorted(problems, key=lambda problem: not problem.is_fatal):
        colour, word = ("bold red", "problem") if problem.is_fatal else ("yellow", "note")
        messages.print(
            f"[{colour}]{word}:[/] {escape(problem.what)}; {escape(problem.remedy)}", soft_wrap=True
        )


def _print_result(result: AuditResult) -> None:
    print_table(audit_table(result))
    verdict = result.verdict
    said = Text.assemble((verdict.level, _BELIEF[verdict.level]), f": {verdict.summary}")
    results.print(said, soft_wrap=True)
    parts = autoattack_sentence(result.outcomes)
    if parts is not None:
        print_text(parts)
    for name in result.accepted:
        print_text(f"accepted: {name}")
    if result.late:
        tell(f"no time was left for all of: {', '.join(result.late)}")
    if result.uncertified:
        tell(f"counted as not proven without a closer look: {result.uncertified:,} images")
    if result.untested:
        tell(f"not tested: {len(result.untested)} things, listed on the page")

"""``steadygrad compare-audits``: audits of several models on the same images, with paired tests."""

import json
from pathlib import Path
from typing import Annotated

import typer

from steadygrad.cli import shared_options as options
from steadygrad.cli.terminal import print_table, tell
from steadygrad.reports.audit import comparison_table, load_audits, write_comparison_page

__all__ = ["register"]

_EPILOG = "Example: steadygrad compare-audits audits/complex audits/real --out compared.html"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare-audits", epilog=_EPILOG)(_compare_audits)


def _compare_audits(
    audits: Annotated[
        list[Path],
        typer.Argument(help="Folders of `steadygrad audit`; each is compared with the first."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Also write a page: an HTML file.", show_default=False),
    ] = None,
    as_json: options.JsonOnly = False,
) -> None:
    """Test whether the worst cases of two or more audited models differ by more than chance.

    The audits must use the same images and the same eps: the test compares image by image.
    """
    comparison = load_audits(audits)
    if out is not None:
        write_comparison_page(comparison, out)
        tell(f"page: {out}")
    if as_json:
        typer.echo(json.dumps(comparison.to_json()))
        return
    print_table(comparison_table(comparison))

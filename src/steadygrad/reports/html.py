"""The report as one self-contained HTML file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import OutputError
from steadygrad.reports.page import page_contents
from steadygrad.reports.runs import RunRecord, load_runs
from steadygrad.reports.wording import (
    attack_name,
    eps_text,
    interval_text,
    large_number,
    percent,
    seconds_text,
)

__all__ = ["render_report", "write_report"]


def write_report(runs: Sequence[Path | str], out: Path | str, title: str | None = None) -> Path:
    """Write the report on the runs in these folders to the HTML file ``out``; return its path.

    The file holds everything it shows (styles, figures, images), loads nothing and needs no
    script. Apart from its date, the same runs give the same bytes. The folder of ``out`` is made
    if it is missing; an older report is replaced only by a complete new one.
    title: the page's; None describes the runs.
    Raises: CheckpointError, as ``load_run``; HyperparameterError, without runs or with one twice;
        OutputError, if ``out`` cannot be written.
    """
    out, records = Path(out), load_runs(runs)
    if out.is_dir():
        raise OutputError(f"expected an HTML file to write, but {out} is a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    page = render_report(records, title=title, created=datetime.now(UTC))
    write_atomically(out, page.encode())
    return out


def render_report(runs: Sequence[RunRecord], *, title: str | None, created: datetime) -> str:
    """Return the page as text.

    Raises: HyperparameterError, without runs or with one twice.
    """
    environment = Environment(
        loader=PackageLoader("steadygrad.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        attack=attack_name,
        eps=eps_text,
        interval=interval_text,
        large=large_number,
        percent=percent,
        duration=seconds_text,
    )
    contents = page_contents(runs, title)
    template = environment.get_template("report.html.j2")
    return template.render(**contents, created=f"{created.day} {created:%B %Y, %H:%M} UTC")

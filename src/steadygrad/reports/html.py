"""The report as one self-contained HTML file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from steadygrad.reports.page import page_contents
from steadygrad.reports.page_file import write_page
from steadygrad.reports.runs import RunRecord, load_runs
from steadygrad.reports.templating import date_text, template_environment

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
    write_page(out, render_report(records, title=title, created=datetime.now(UTC)))
    return out


def render_report(runs: Sequence[RunRecord], *, title: str | None, created: datetime) -> str:
    """Return the page as text.

    Raises: HyperparameterError, without runs or with one twice.
    """
    contents = page_contents(runs, title)
    template = template_environment().get_template("report.html.j2")
    return template.render(**contents, created=date_text(created))

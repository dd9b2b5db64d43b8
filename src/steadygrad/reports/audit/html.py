"""The page of an audit as one self-contained HTML file."""

from datetime import UTC, datetime
from pathlib import Path

from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.audit.page import audit_page_contents
from steadygrad.reports.page_file import write_page
from steadygrad.reports.templating import date_text, template_environment

__all__ = ["render_audit_page", "write_audit_page"]


def write_audit_page(result: AuditResult, path: Path | str, title: str | None = None) -> Path:
    """Write the page of an audit to the HTML file ``path``; return the path.

    It holds everything it shows (styles, figures, images), loads nothing and needs no script.
    Apart from its date, the same result gives the same bytes. The folder is made if it is
    missing; an older page is replaced only by a complete new one.
    title: the page's; None names the model.
    Raises: OutputError, if ``path`` cannot be written.
    """
    path = Path(path)
    write_page(path, render_audit_page(result, title=title, created=datetime.now(UTC)))
    return path


def render_audit_page(result: AuditResult, *, title: str | None, created: datetime) -> str:
    """Return the page as text."""
    template = template_environment().get_template("audit.html.j2")
    return template.render(**audit_page_contents(result, title), created=date_text(created))

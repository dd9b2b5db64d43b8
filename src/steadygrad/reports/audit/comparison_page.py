"""The page of several audits side by side, as one self-contained HTML file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steadygrad.evaluation import PairedComparison
from steadygrad.reports.audit.comparison import AuditComparison
from steadygrad.reports.audit.words import radius_text
from steadygrad.reports.html import date_text, software_versions, template_environment, write_page
from steadygrad.reports.wording import count_text, percent

__all__ = ["render_comparison_page", "write_comparison_page"]


def write_comparison_page(
    comparison: AuditComparison, path: Path | str, title: str | None = None
) -> Path:
    """Write the page of compared audits to the HTML file ``path``; return the path.

    It holds everything it shows and loads nothing. The folder is made if it is missing.
    title: the page's; None names the number of audits.
    Raises: OutputError, if ``path`` cannot be written.
    """
    path = Path(path)
    write_page(path, render_comparison_page(comparison, title=title, created=datetime.now(UTC)))
    return path


def render_comparison_page(
    comparison: AuditComparison, *, title: str | None, created: datetime
) -> str:
    """Return the page as text."""
    template = template_environment().get_template("compared_audits.html.j2")
    return template.render(**_contents(comparison, title), created=date_text(created))


def _contents(comparison: AuditComparison, title: str | None) -> dict[str, Any]:
    (reference, first), *_ = comparison.audits.items()
    pairs = comparison.worst_cases()
    names = list(dict.fromkeys(o.name for a in comparison.audits.values() for o in a.outcomes))
    return {
        "title": title or f"{len(comparison.audits)} audits compared",
        "reference": reference,
        "images": count_text(first.n, "image"),
        "radius": f"eps {radius_text(first.eps, first.norm)}",
        "rows": [
            {
                "name": name,
                "clean": audit.clean,
                "worst_case": audit.worst_case,
                "established": audit.is_established,
                "bound": audit.lower_bound,
                "verdict": audit.verdict,
                "difference": _difference(pairs.get(name)),
                "p": _p_value(pairs.get(name)),
            }
            for name, audit in comparison.audits.items()
        ],
        "attacks": [
            (name, [_left(audit, name) for audit in comparison.audits.values()]) for name in names
        ],
        "audits": list(comparison.audits),
        "cautions": comparison.cautions(),
        "versions": software_versions(),
    }


def _left(audit: Any, name: str) -> str:
    """Return what an attack did to one of the models, in words for a cell of the table."""
    for outcome in audit.outcomes:
        if outcome.name == name:
            point = outcome.accuracy(audit.clean_correct)
            if point is not None:
                return percent(point.accuracy)
            return f"broke {int(outcome.broken.sum()):,} of {int(outcome.attacked.sum()):,}"
    return "–"


def _difference(pair: PairedComparison | None) -> str:
    if pair is None:
        return "–"
    low, high = (100 * end for end in pair.ci95)
    text = f"{100 * pair.difference:+.1f} ({low:+.1f} to {high:+.1f})"
    return text.replace("-", "−")


def _p_value(pair: PairedComparison | None) -> str:
    if pair is None:
        return "–"
    return f"{pair.p_value:.2g}" if pair.p_value >= 1e-4 else "<0.0001"

"""An audit in short: a table for terminals, a fragment for notebooks, a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.parts import number_text
from steadygrad.reports.audit.figures import attack_figure
from steadygrad.reports.audit.words import attack_rows
from steadygrad.reports.whole_table import print_whole
from steadygrad.reports.wording import percent, seconds_text

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )

__all__ = ["audit_figure", "audit_html", "audit_table", "show_audit", "worst_case_text"]


def audit_table(result: AuditResult) -> Table:
    """Return a table of the attacks, without attack first and the worst case last."""
    table = Table(box=None, pad_edge=False)
    table.add_column("attack", no_wrap=True)
    for name in ("correct", "95 % interval", "time", "queries"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("none", _percent(result.clean.accuracy), _interval(*result.clean.ci95), "", "")
    for outcome in result.outcomes:
        table.add_row(
            Text(outcome.name),
            *_accuracy(outcome, result),
            seconds_text(outcome.seconds),
            f"{outcome.queries:,}",
        )
    if result.findings:
        spent = result.seconds - sum(outcome.seconds for outcome in result.outcomes)
        table.add_row("diagnostics", "", "", seconds_text(spent), "")
    table.add_row(
        Text("worst case of all", style="bold"),
        Text(worst_case_text(result), style="bold"),
        _interval(*result.worst_case.ci95) if result.is_established else "",
        seconds_text(result.seconds),
        f"{sum(outcome.queries for outcome in result.outcomes):,}",
    )
    bound = result.lower_bound
    if bound is not None:
        table.add_row("proven, at least", _percent(bound.accuracy), "", "", "")
    return table


def worst_case_text(result: AuditResult) -> str:
    """Return the accuracy in the worst case, or that it is not established."""
    return _percent(result.worst_case.accuracy) if result.is_established else "not established"


def show_audit(result: AuditResult) -> None:
    """Print table and verdict."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    print_whole(console, audit_table(result))
    verdict = result.verdict
    console.print(Text(f"{verdict.level}: {verdict.summary}"), soft_wrap=True)


def audit_html(result: AuditResult) -> str:
    """Return a fragment of HTML with the answer, the verdict and the attacks."""
    rows = [("none", _percent(result.clean.accuracy), _interval(*result.clean.ci95))]
    rows += [(outcome.name, *_accuracy(outcome, result)) for outcome in result.outcomes]
    rows.append(
        (
            "worst case of all",
            worst_case_text(result),
            _interval(*result.worst_case.ci95) if result.is_established else "",
        )
    )
    return fragment(
        f"{result.model.get('name') or 'Model'}, {result.n:,} images, "
        f"eps {number_text(result.eps)} ({result.norm})",
        f"{result.verdict.level}: {result.verdict.summary}",
        ("attack", "correct", "95 % interval"),
        rows,
    )


def fragment(
    title: str, sentence: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> str:
    """Return title, table and sentence as HTML; their signs are shown as they are."""
    head = Markup("").join(Markup("<th>{}</th>").format(text) for text in heads)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(text) for text in row)
        )
        for row in rows
    )
    page = Markup(
        "<div><strong>{}</strong><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
        "<p>{}</p></div>"
    )
    return str(page.format(title, head, body, sentence))


def audit_figure(result: AuditResult) -> "Figure":
    """Return the chart of accuracy under each attack."""
    rows = attack_rows(result.outcomes, result.clean_correct)
    names = result.data.get("class_names")
    return attack_figure(result.clean, rows, result.worst_case, 1 / len(names) if names else None)


def _accuracy(outcome: AttackOutcome, result: AuditResult) -> tuple[str, str]:
    point = outcome.accuracy(result.clean_correct)
    if point is None:
        broken, met = int(outcome.broken.sum()), int(outcome.attacked.sum())
        return f"broke {broken} of {met} survivors", ""
    return _percent(point.accuracy), _interval(*point.ci95)


def _percent(fraction: float) -> str:
    return percent(fraction).replace("\u00a0", " ")


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f}"

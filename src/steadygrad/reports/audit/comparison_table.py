"""Audits side by side, for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steadygrad.evaluation import AccuracyPoint, PairedComparison
from steadygrad.reports.audit.comparison import AuditComparison
from steadygrad.reports.audit.threat_model import radius_text
from steadygrad.reports.wording import interval_text

__all__ = ["comparison_table"]


def comparison_table(comparison: AuditComparison) -> RenderableType:
    """Return the comparison for a rich console."""
    (reference, first), *_ = comparison.audits.items()
    pairs = comparison.worst_cases()
    table = Table(
        title=Text(
            f"{first.n:,} images, eps {radius_text(first.eps, first.norm)}: accuracy in %, with "
            "its 95 % interval",
            style="bold",
        ),
        title_justify="left",
        caption=Text(
            f"difference: points of the worst case against {reference}, image by image, with "
            "Newcombe's interval; p: McNemar's exact test",
            style="dim",
        ),
        caption_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("audit", overflow="fold", min_width=10)
    for heading in ("clean", "worst case", "difference", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for name, audit in comparison.audits.items():
        table.add_row(
            Text(name, style="bold"),
            _accuracy(audit.clean),
            _accuracy(audit.worst_case),
            *_pair(pairs.get(name)),
            audit.verdict.level,
        )
    notes = [Text(f"! {sentence}", style="yellow") for sentence in comparison.cautions()]
    return Group(table, *([Text(), *notes] if notes else []))


def _accuracy(point: AccuracyPoint) -> Text:
    return Text.assemble(f"{100 * point.accuracy:.1f}", "\n", (interval_text(point), "dim"))


def _pair(pair: PairedComparison | None) -> tuple[Text, Text]:
    if pair is None:
        return Text("–"), Text("–")
    low, high = (100 * end for end in pair.ci95)
    interval = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
    points = f"{100 * pair.difference:+.1f}".replace("-", "−")
    p = f"{pair.p_value:.2g}" if pair.p_value >= 1e-4 else "<0.0001"
    return Text.assemble(points, "\n", (interval, "dim")), Text(p)

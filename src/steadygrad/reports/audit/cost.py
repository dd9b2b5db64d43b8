"""What an audit cost: time, and images sent through the model."""

from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.wording import count_text, seconds_text

__all__ = ["cost_facts"]


def cost_facts(result: AuditResult) -> list[tuple[str, str]]:
    """Return (topic, sentences) about time, work and how it was cut up."""
    attack_seconds = sum(outcome.seconds for outcome in result.outcomes)
    queries = sum(outcome.queries for outcome in result.outcomes)
    gradients = sum(outcome.gradients for outcome in result.outcomes)
    size = result.batch_size
    chosen = "chosen by a memory measurement" if size.asked == "auto" else "as asked"
    return [
        (
            "Time",
            f"{seconds_text(result.seconds)} on {result.device}, {seconds_text(attack_seconds)} of "
            "it for attacks, the rest for diagnostics. Times depend on the machine and on what "
            "else it was doing.",
        ),
        (
            "Work of the attacks",
            f"{count_text(queries, 'image')} sent through the model and {gradients:,} "
            f"differentiated: {queries / result.n:,.0f} and {gradients / result.n:,.0f} for each "
            f"of the {result.n:,} audited.",
        ),
        ("Batches", f"{count_text(size.size, 'image')} at a time, {chosen}."),
    ]

"""The runs in rows: as data, for the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from steadygrad.evaluation import AccuracyPoint
from steadygrad.markdown_text import markdown_text
from steadygrad.reports.comparison import Comparison, compare_runs
from steadygrad.reports.runs import RunRecord
from steadygrad.reports.scope import cautions
from steadygrad.reports.training_words import (
    adversarial_text,
    augmentation_text,
    penalty_text,
    training_text,
)
from steadygrad.reports.wording import (
    accuracy_text,
    count_text,
    eps_text,
    interval_text,
    large_number,
    percent,
    seconds_text,
)

__all__ = ["SummaryRow", "csv_table", "markdown_table", "summary_rows", "summary_table"]


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One run under one protocol; accuracies are fractions with their counts, times in seconds.

    clean: the point at eps 0, None if that was not measured for all runs; attacked: the points at
        the comparison's shown eps; mean_accuracy: over all shared eps, None without any.
    parameters, macs: None if unknown; seconds_per_epoch, total_seconds: None before an epoch is
        done; images: how many test images the accuracies rest on.
    """

    run: str
    model: str
    parameters: int | None
    macs: int | None
    penalty: str
    adversarial: str
    augmentation: str
    training: str
    clean: AccuracyPoint | None
    attacked: tuple[AccuracyPoint, ...]
    mean_accuracy: float | None
    seconds_per_epoch: float | None
    total_seconds: float | None
    epochs_done: int
    epochs: int
    images: int
    seed: int


def summary_rows(comparison: Comparison) -> list[SummaryRow]:
    """Return one row per run, in the order given; all rows have the same shown eps."""
    has_clean = 0 in comparison.shared_eps
    rows = []
    for entry in comparison.entries:
        run = entry.run
        rows.append(
            SummaryRow(
                run=run.name,
                model=run.model,
                parameters=run.parameters,
                macs=run.macs,
                penalty=penalty_text(run.config),
                adversarial=adversarial_text(run.config),
                augmentation=augmentation_text(run.config),
                training=training_text(run.config),
                clean=entry.point(0) if has_clean else None,
                attacked=tuple(entry.point(eps) for eps in comparison.shown_eps),
                mean_accuracy=comparison.mean_accuracy(entry),
                seconds_per_epoch=run.seconds_per_epoch,
                total_seconds=run.total_seconds,
                epochs_done=len(run.metrics),
                epochs=run.epochs,
                images=comparison.protocol.data.n,
                seed=run.config.seed,
            )
        )
    return rows


def summary_table(runs: Sequence[RunRecord]) -> RenderableType:
    """Return the runs for a rich console, within 80 columns for names of ordinary length.

    A table of accuracies per protocol, one of what each run is and cost, and what limits comparing.
    """
    comparisons = compare_runs(runs)
    parts: list[RenderableType] = []
    for comparison in comparisons:
        parts += [_accuracy_table(comparison), Text()]
    parts.append(_training_table(runs))
    notes = [Text(f"! {caution}", style="yellow") for caution in cautions(runs, comparisons)]
    return Group(*parts, *([Text(), *notes] if notes else []))


def _accuracy_table(comparison: Comparison) -> Table:
    count = len(comparison.shared_eps)
    caption = (
        f"accuracy in %, below it the 95 % interval; mean over {count_text(count, 'value')} of eps"
    )
    table = _plain_table(comparison.protocol.name, caption if count else None)
    for heading in ("clean", *(f"eps {eps_text(eps)}" for eps in comparison.shown_eps), "mean"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for row in summary_rows(comparison):
        mean = "–" if row.mean_accuracy is None else f"{100 * row.mean_accuracy:.1f}"
        accuracies = [_rich_accuracy(point) for point in (row.clean, *row.attacked)]
        table.add_row(Text(row.run, style="bold"), *accuracies, Text(mean))
    return table


def _training_table(runs: Sequence[RunRecord]) -> Table:
    table = _plain_table("What the runs are, and what their training cost", None)
    table.add_column(Text("training"), overflow="fold")
    for heading in ("size", "MACs", "epoch", "in total", "seed"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for run in runs:
        model = f"{run.model}\n"
        done = "" if run.is_finished else f"; {len(run.metrics)} of {run.epochs} epochs"
        table.add_row(
            Text(run.name, style="bold"),
            Text.assemble((model, "dim"), training_text(run.config) + done),
            Text(large_number(run.parameters)),
            Text(large_number(run.macs)),
            Text(seconds_text(run.seconds_per_epoch)),
            Text(seconds_text(run.total_seconds)),
            Text(str(run.config.seed)),
        )
    return table


def _plain_table(title: str, caption: str | None) -> Table:
    table = Table(
        title=Text(title, style="bold"),
        caption=None if caption is None else Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(Text("run"), overflow="fold", min_width=12)
    return table


def _rich_accuracy(point: AccuracyPoint | None) -> Text:
    if point is None:
        return Text("–")
    return Text.assemble(f"{100 * point.accuracy:.1f}", "\n", (interval_text(point), "dim"))


def markdown_table(rows: Sequence[SummaryRow]) -> str:
    """Return the rows as a Markdown table, ending in a newline; accuracies in percent."""
    columns = _columns(rows)
    lines = [
        [name for name, _ in columns],
        [":---" if name in ("run", "model", "training") else "---:" for name, _ in columns],
        *([markdown_text(values[index]) for _, values in columns] for index in range(len(rows))),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _columns(rows: Sequence[SummaryRow]) -> list[tuple[str, list[str]]]:
    columns = [
        ("run", [row.run for row in rows]),
        ("model", [row.model for row in rows]),
        ("training", [row.training for row in rows]),
        ("clean", [accuracy_text(row.clean) for row in rows]),
    ]
    for index, eps in enumerate(_shown_eps(rows)):
        values = [accuracy_text(row.attacked[index]) for row in rows]
        columns.append((f"eps {eps_text(eps)}", values))
    means = ["–" if r.mean_accuracy is None else percent(r.mean_accuracy) for r in rows]
    return [
        *columns,
        ("mean over eps", means),
        ("parameters", [large_number(row.parameters) for row in rows]),
        ("MACs", [large_number(row.macs) for row in rows]),
        ("time per epoch", [seconds_text(row.seconds_per_epoch) for row in rows]),
        ("training time", [seconds_text(row.total_seconds) for row in rows]),
        ("epochs", [f"{row.epochs_done}/{row.epochs}" for row in rows]),
        ("images", [f"{row.images:,}" for row in rows]),
        ("seed", [str(row.seed) for row in rows]),
    ]


def _shown_eps(rows: Sequence[SummaryRow]) -> list[float]:
    return [point.eps for point in rows[0].attacked] if rows else []


def csv_table(rows: Sequence[SummaryRow]) -> str:
    """Return the rows as CSV with a header: accuracies as fractions, times in seconds.

    Every accuracy has its 95 % interval in ``_low`` and ``_high``; unknown values are empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    points = ["clean", *(f"eps_{eps:.6g}" for eps in _shown_eps(rows))]
    writer.writerow(
        [
            *("run", "model", "parameters", "macs", "penalty", "adversarial", "augmentation"),
            *(f"{point}{part}" for point in points for part in ("", "_low", "_high")),
            *("mean_accuracy", "seconds_per_epoch", "total_seconds", "epochs_done", "epochs"),
            *("images", "seed"),
        ]
    )
    for row in rows:
        accuracies: list[float | None] = []
        for point in (row.clean, *row.attacked):
            accuracies += (None,) * 3 if point is None else (point.accuracy, *point.ci95)
        writer.writerow(
            [
                *(row.run, row.model, row.parameters, row.macs),
                *(row.penalty, row.adversarial, row.augmentation, *accuracies),
                *(row.mean_accuracy, row.seconds_per_epoch, row.total_seconds),
                *(row.epochs_done, row.epochs, row.images, row.seed),
            ]
        )
    return out.getvalue()

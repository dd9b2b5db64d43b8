"""Audits of several models on the same examples, side by side, with paired tests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import AccuracyPoint, PairedComparison, paired_comparison
from steadygrad.evaluation.auditing.result import AuditResult, read_audit
from steadygrad.reports.audit.words import radius_text
from steadygrad.reports.wording import enumeration, interval_text

__all__ = ["AuditComparison", "comparison_table", "load_audits"]


@dataclass(frozen=True, eq=False)
class AuditComparison:
    """Audits of the same examples at the same radius, by name, in the order given.

    Raises: HyperparameterError, if there are fewer than two, or if examples, radius or norm are
        not the same.
    """

    audits: dict[str, AuditResult]

    def __post_init__(self) -> None:
        if len(self.audits) < 2:
            raise HyperparameterError(
                f"expected at least two audits to compare, got {len(self.audits)}"
            )
        first, *others = self.audits.items()
        for other in others:
            _refuse_if_different(first, other)

    def worst_cases(self) -> dict[str, PairedComparison]:
        """Compare the worst case of each audit but the first with that of the first.

        Right is an example that none of an audit's attacks broke: the difference is that of the
        named audit minus that of the first.
        """
        (_, first), *others = self.audits.items()
        return {
            name: paired_comparison(_standing(audit), _standing(first)) for name, audit in others
        }

    def cautions(self) -> list[str]:
        """Return what keeps the numbers from being compared at face value, a sentence each."""
        sentences = []
        (name, first), *others = self.audits.items()
        for other, audit in others:
            missing = _attacks(first) - _attacks(audit), _attacks(audit) - _attacks(first)
            parts = [
                f"{' and '.join(sorted({n for n, _ in attacks}))} only on {who}"
                for attacks, who in zip(missing, (name, other), strict=True)
                if attacks
            ]
            if parts:
                sentences.append(
                    f"{name} and {other} were not attacked alike ({'; '.join(parts)}): the one "
                    "that was tested by more attacks looks worse in comparison."
                )
        for level in ("masked", "nothing tested", "doubtful", "incomplete"):
            named = [name for name, a in self.audits.items() if a.verdict.level == level]
            if named:
                sentences.append(
                    f"The verdict on {enumeration(named)} is: {level}. See the page of the audit "
                    "before trusting the number."
                )
        if len(self.audits) > 2:
            sentences.append(
                f"{len(self.audits) - 1} p-values are shown, none of them corrected for there "
                "being several."
            )
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Return accuracies, verdicts, and the paired comparisons with the first audit."""
        pairs = self.worst_cases()
        first = next(iter(self.audits.values()))
        return {
            "eps": first.eps,
            "norm": first.norm,
            "n": first.n,
            "data_digest": first.data.get("digest"),
            "audits": [
                {
                    "name": name,
                    "clean": _point(audit.clean),
                    "worst_case": _point(audit.worst_case),
                    "verdict": audit.verdict.level,
                    "against_first": pairs[name].to_json() if name in pairs else None,
                }
                for name, audit in self.audits.items()
            ],
            "cautions": self.cautions(),
        }


def load_audits(folders: Sequence[Path | str]) -> AuditComparison:
    """Read the audits in these folders.

    They are called by their models where that tells them apart, else by their folders.
    Raises: CheckpointError, as ``read_audit``; HyperparameterError, as ``AuditComparison``, or for
        a folder that is given twice.
    """
    paths = [Path(folder) for folder in folders]
    for path, count in Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise HyperparameterError(f"expected each audit once, got {path} {count} times")
    audits = [read_audit(path) for path in paths]
    names = [audit.model.get("name") for audit in audits]
    is_clear = all(names) and len(set(names)) == len(names)
    called = names if is_clear else paths
    return AuditComparison(dict(zip(map(str, called), audits, strict=True)))


def _refuse_if_different(first: tuple[str, AuditResult], other: tuple[str, AuditResult]) -> None:
    (name, ours), (other_name, theirs) = first, other
    if ours.data.get("digest") != theirs.data.get("digest") or ours.n != theirs.n:
        raise HyperparameterError(
            f"expected audits of the same images and labels, got {ours.n:,} examples of {name} and "
            f"{theirs.n:,} others of {other_name}"
        )
    if (ours.eps, ours.norm) != (theirs.eps, theirs.norm):
        raise HyperparameterError(
            f"expected audits at the same eps and norm, got {ours.eps:g} ({ours.norm}) of {name} "
            f"and {theirs.eps:g} ({theirs.norm}) of {other_name}"
        )


def _standing(audit: AuditResult) -> Tensor:
    return audit.clean_correct & ~audit.broken


def _attacks(audit: AuditResult) -> set[tuple[str, str]]:
    return {(outcome.name, repr(sorted(outcome.attack.items()))) for outcome in audit.outcomes}


def _point(point: AccuracyPoint) -> dict[str, Any]:
    return {"accuracy": point.accuracy, "correct": point.correct, "ci95": list(point.ci95)}


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
            _accuracy(audit.worst_case)
            if audit.is_established
            else Text.assemble(
                "not established\n", (f"at most {100 * audit.worst_case.accuracy:.1f}", "dim")
            ),
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

"""What the diagnostics of gradient masking found, as plain values for the page."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from steadygrad.evaluation.masking import Finding
from steadygrad.reports.wording import count_text

__all__ = ["FindingCard", "finding_cards", "finding_count_text", "number_text"]

Status = Literal["suspicious", "passed", "not tested"]

ORDER: tuple[Status, ...] = ("suspicious", "passed", "not tested")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_VALUES = 12
"""Values of a list in the evidence that are printed; longer ones are for pictures."""


@dataclass(frozen=True, kw_only=True)
class FindingCard:
    """One diagnostic for reading; measured is None where nothing was measured."""

    question: str
    status: Status
    measured: str | None
    threshold: str
    unit: str
    meaning: str
    evidence: list[tuple[str, str]]


def finding_cards(findings: Sequence[Finding]) -> list[FindingCard]:
    """Return the findings: suspicious ones first, then passed ones, then what was not tested."""
    return [
        _card(finding)
        for finding in sorted(findings, key=lambda finding: ORDER.index(finding.status))
    ]


def finding_count_text(findings: Sequence[Finding]) -> str:
    """Return "1 of 19 diagnostics is suspicious, 16 passed, 2 not tested"."""
    counts = Counter(finding.status for finding in findings)
    diagnostics = count_text(len(findings), "diagnostic")
    verb = "is" if counts["suspicious"] == 1 else "are"
    text = f"{counts['suspicious'] or 'None'} of {diagnostics} {verb} suspicious"
    if not counts["suspicious"]:
        text = f"None of {diagnostics} is suspicious"
    text += f", {counts['passed']} passed"
    return text + (f", {counts['not tested']} not tested" if counts["not tested"] else "")


def _card(finding: Finding) -> FindingCard:
    is_fraction = finding.unit.startswith("fraction of ")
    text = _percent if is_fraction else number_text
    return FindingCard(
        question=finding.question,
        status=finding.status,
        measured=None if finding.measured is None else text(finding.measured),
        threshold=text(finding.threshold),
        unit=finding.unit.removeprefix("fraction "),
        meaning=finding.meaning,
        evidence=evidence_rows(finding.evidence),
    )


def _percent(fraction: float) -> str:
    return f"{number_text(100 * fraction)}\u00a0%"


def number_text(value: float) -> str:
    """Return a measured number with two or three digits: "0.0125", "12,500", "1.2·10⁻⁶"."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "−infinite"
    if value == 0 or 1e-3 <= abs(value) < 999.5:
        text = f"{value:.3g}"
    elif 999.5 <= abs(value) < 1e6:
        text = f"{value:,.0f}"
    else:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{float(mantissa):g}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return text.replace("-", "−")


def evidence_rows(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what, value) of the evidence that can be read as text."""
    return [
        (key.replace("_", " "), _value(value))
        for key, value in evidence.items()
        if not _is_long(value)
    ]


def _is_long(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return len(value) > MOST_VALUES or any(isinstance(item, list | dict) for item in value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    return json.dumps(value, ensure_ascii=False)

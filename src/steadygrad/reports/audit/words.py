"""The words of an audit: its answer, its attacks in rows, its findings, whom it is about."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import Tensor

from steadygrad.attacks import APGD
from steadygrad.attacks.ball import Norm
from steadygrad.evaluation import AccuracyPoint
from steadygrad.evaluation.auditing import AttackOutcome, Family
from steadygrad.evaluation.masking import Finding
from steadygrad.reports.wording import (
    attack_name,
    attack_settings,
    count_text,
    enumeration,
    eps_text,
    interval_text,
    member_name,
    percent,
    sentence_text,
)

__all__ = [
    "BELIEF",
    "FAMILIES",
    "AttackRow",
    "Belief",
    "FindingCard",
    "accuracy_sentences",
    "attack_rows",
    "autoattack_sentence",
    "finding_cards",
    "finding_count_text",
    "number_text",
    "radius_text",
    "threat_model",
]


Belief: TypeAlias = Literal["yes", "caution", "no"]


BELIEF: dict[str, tuple[Belief, str]] = {
    "no sign of masking": ("yes", "Yes, as an upper bound"),
    "doubtful": ("caution", "Only with caution"),
    "masked": ("no", "No"),
    "incomplete": ("caution", "Not yet"),
    "nothing tested": ("no", "There is none: nothing was tested"),
}


"""Per level of a verdict: how it is coloured, and its answer to "can I believe this number?"."""


FAMILIES: dict[Family, tuple[str, str]] = {
    "noise": ("noise", "needs no access to the model"),
    "one-step": ("one gradient step", "knows the weights"),
    "white-box": ("many gradient steps", "knows the weights"),
    "query": ("queries", "sees only the outputs"),
    "transfer": ("transfer", "knows another model"),
    "ensemble": ("several attacks", "knows the weights"),
}


"""Per family: how its attacks look for a change, and what they know of the model."""


@dataclass(frozen=True, kw_only=True)
class AttackRow:
    """One attack of an audit.

    name: as in the audit; title, settings, method, knowledge: for reading.
    attacked, broken: how many of the ``n`` examples it was run on, and how many of these it broke.
    point: accuracy under this attack alone; None if it was not run on every right example.
    standing: how many of the ``n`` examples the attacks before it had left right, for an attack
        that met these alone; None for one that was run on others too.
    outside: results beyond the radius or the pixel range, which do not count as broken.
    queries: images sent through the model; gradients: images differentiated.
    """

    name: str
    title: str
    settings: str
    method: str
    knowledge: str
    n: int
    attacked: int
    broken: int
    point: AccuracyPoint | None
    standing: int | None
    outside: int
    seconds: float
    queries: int
    gradients: int

    @property
    def outcome_text(self) -> str:
        """What it broke of what it was run on: "broke 3 of 41 survivors"."""
        kind = "survivors" if self.attacked == self.standing else "tried"
        return f"broke {self.broken:,} of {self.attacked:,} {kind}"


def attack_rows(outcomes: Sequence[AttackOutcome], clean_correct: Tensor) -> list[AttackRow]:
    """Return the attacks, the one that leaves most accuracy first, those without one last.

    outcomes: in the order of the battery, which attacks without an accuracy of their own keep.
    clean_correct: bool (n,), which examples are correct without attack.
    """
    titles, rows, standing = _titles(outcomes), [], clean_correct
    for outcome in outcomes:
        rows.append(_row(outcome, clean_correct, standing, titles[outcome.name]))
        standing = standing & ~outcome.broken
    full = [row for row in rows if row.point is not None]
    full.sort(key=lambda row: row.broken)
    return [*full, *(row for row in rows if row.point is None)]


def _row(outcome: AttackOutcome, clean_correct: Tensor, standing: Tensor, title: str) -> AttackRow:
    method, knowledge = FAMILIES[outcome.family]
    return AttackRow(
        name=outcome.name,
        title=title,
        settings=attack_settings(outcome.attack) if len(outcome.attack) > 1 else "",
        method=method,
        knowledge=knowledge,
        n=len(clean_correct),
        attacked=int(outcome.attacked.sum()),
        broken=int(outcome.broken.sum()),
        point=outcome.accuracy(clean_correct),
        standing=int(standing.sum()) if outcome.scope == "survivors" else None,
        outside=outcome.outside,
        seconds=outcome.seconds,
        queries=outcome.queries,
        gradients=outcome.gradients,
    )


def _titles(outcomes: Sequence[AttackOutcome]) -> dict[str, str]:
    """Return a title per name; where two attacks share theirs, the names tell them apart."""
    short = {outcome.name: attack_name(outcome.attack) for outcome in outcomes}
    shared = Counter(short.values())
    return {
        name: title if shared[title] == 1 else f"{title} ({name})" for name, title in short.items()
    }


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


WHITE_BOX: frozenset[Family] = frozenset({"one-step", "white-box", "ensemble"})


def radius_text(eps: float, norm: Norm) -> str:
    """Return a radius for reading: "0.1 (25.5/255)"; in L2, where no pixel is alone, "1.5 (L2)"."""
    if norm == "l2":
        return f"{eps:.4g} (L2)"
    levels = f"{255 * eps:.4g}/255"
    short = eps_text(eps)
    return f"{levels} ({eps:.4g})" if short == levels else f"{short} ({levels})"


def threat_model(
    outcomes: Sequence[AttackOutcome], eps: float, norm: Norm
) -> list[tuple[str, str]]:
    """Return (topic, sentences): what may change, what the attacker knows, wants, and may spend."""
    return [
        ("May change", _change(eps, norm)),
        ("Knows", _knowledge({outcome.family for outcome in outcomes})),
        (
            "Goal",
            "Any wrong class. Attacks that aim at a class of their own choice count as soon as the "
            "model is wrong.",
        ),
        (
            "Counts as correct",
            "An image that is classified correctly without attack and that none of the attacks "
            "turns into a misclassification: the worst case, image by image. Images that are "
            "misclassified without attack are not attacked.",
        ),
    ]


def _change(eps: float, norm: Norm) -> str:
    range_kept = "and no pixel leaves [0, 1]"
    if norm == "linf":
        return (
            f"Every pixel of every channel, by at most eps = {radius_text(eps, norm)} of the pixel "
            f"range (L-infinity), {range_kept}."
        )
    return (
        f"All pixels together, by a Euclidean length of at most eps = {radius_text(eps, norm)} in "
        f"units of the pixel range, {range_kept}."
    )


def _knowledge(families: set[Family]) -> str:
    kinds = []
    if families & WHITE_BOX:
        kinds.append("everything (white-box: the network, its weights and its gradients)")
    if "query" in families:
        kinds.append("the outputs alone (queries)")
    if "transfer" in families:
        kinds.append("another network (transfer)")
    if "noise" in families:
        kinds.append("nothing (noise)")
    if not kinds:
        return "No attack was run."
    if len(kinds) == 1:
        return sentence_text(kinds[0])
    return f"Depending on the attack, {', '.join(kinds[:-1])} or {kinds[-1]}."


_PARTS: Mapping[str, tuple[str, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
"""What each version of AutoAttack runs."""


def autoattack_sentence(outcomes: Sequence[AttackOutcome]) -> str | None:
    """Return which of AutoAttack's parts ran, and on how many images; None if none did."""
    met: dict[str, int] = {}
    for outcome in outcomes:
        for part in _parts_of_autoattack(outcome.attack):
            met[part] = max(met.get(part, 0), int(outcome.attacked.sum()))
    if not met:
        return None
    ran = enumeration([f"{member_name(part)} (on {n:,} images)" for part, n in met.items()])
    missing = [member_name(part) for part in _PARTS["standard"] if part not in met]
    rest = f"; {enumeration(missing)} did not" if missing else ", all that its standard has"
    return f"Of AutoAttack ran {ran}{rest}."


def _parts_of_autoattack(attack: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which parts of AutoAttack the attack of a record is, the authors' code or ours."""
    if attack.get("name") == "apgd":
        member = APGD(eps=0.0, loss=attack["loss"], target=attack["target"]).autoattack_member
        return () if member is None else (member,)
    if attack.get("name") != "autoattack":
        return ()
    version = str(attack.get("version", "standard"))
    return tuple(attack.get("attacks") or _PARTS.get(version, ()))


def accuracy_sentences(
    clean: AccuracyPoint,
    worst_case: AccuracyPoint,
    rows: Sequence[AttackRow],
    chance: float | None,
) -> list[str]:
    """Say what was right before any attack, which attack broke most, and what the others added.

    chance: accuracy of guessing, None if unknown.
    """
    right = f"{percent(clean.accuracy)} (95\u00a0% interval {interval_text(clean)})"
    sentences = [f"Without attack, {right} are classified correctly."]
    if chance is not None and clean.ci95[0] <= chance:
        sentences.append(
            f"That is no better than guessing ({percent(chance)}): there is no accuracy to defend."
        )
    full = [row for row in rows if row.point is not None]
    if len(rows) < 2 or not full:
        return sentences
    strongest = max(full, key=lambda row: row.broken)
    left = clean.correct - strongest.broken
    others = count_text(left - worst_case.correct, "more image")
    sentences.append(
        f"The strongest single attack, {strongest.title}, leaves {percent(left / clean.n)}; the "
        f"others broke {others}."
        if left > worst_case.correct
        else f"The strongest attack, {strongest.title}, broke everything that any attack broke."
    )
    return sentences

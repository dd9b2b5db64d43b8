"""The page of an audit as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from steadygrad.datasets import dataset_entry
from steadygrad.errors import UnknownNameError
from steadygrad.evaluation.auditing.audit_gallery import AuditGallery
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.audit.figures import attack_figure, stored_surfaces, surface_figure
from steadygrad.reports.audit.words import (
    BELIEF,
    AttackRow,
    accuracy_sentences,
    attack_rows,
    autoattack_sentence,
    finding_cards,
    finding_count_text,
    radius_text,
    threat_model,
)
from steadygrad.reports.figures import inline_svg
from steadygrad.reports.html import (
    date_text,
    gallery_examples,
    software_versions,
    template_environment,
    write_page,
)
from steadygrad.reports.wording import count_text, seconds_text, sentence_text

__all__ = [
    "audit_page_contents",
    "cost_facts",
    "omissions",
    "provenance_rows",
    "render_audit_page",
    "write_audit_page",
]


def audit_page_contents(result: AuditResult, title: str | None) -> dict[str, Any]:
    """Return the template's variables; the same result gives the same values."""
    rows = attack_rows(result.outcomes, result.clean_correct)
    names = _class_names(result.data)
    chance = None if names is None else 1 / len(names)
    belief, answer = BELIEF[result.verdict.level]
    if result.is_proven and result.worst_case.correct:
        answer = "Yes: it is proven"
    elif result.verdict.level == "masked" and result.is_established:
        belief, answer = "caution", "Only as an upper bound, from attacks adapted to the masking"
    images = _images(result)
    return {
        "title": title or f"Robustness audit of {result.model.get('name') or 'a model'}",
        "images": images,
        "radius": f"eps {radius_text(result.eps, result.norm)}",
        "clean": result.clean,
        "worst_case": result.worst_case,
        "belief": belief,
        "answer": answer,
        "verdict": result.verdict,
        "sentences": accuracy_sentences(result.clean, result.worst_case, rows, chance),
        "rows": rows,
        "autoattack": autoattack_sentence(result.outcomes),
        "attack_svg": _attack_svg(result, rows, chance),
        "finding_count": finding_count_text(result.findings),
        "findings": finding_cards(result.findings),
        "adapted": [sentence_text(each.sentence) for each in result.adapted.attacks],
        "adapted_round": result.adapted,
        "surface_svg": _surface_svg(result, names),
        "untested": omissions(result.untested),
        "gallery": _gallery(result.gallery, rows, names, result),
        "problems": result.fitness,
        "fatal": [problem for problem in result.fitness if problem.is_fatal],
        "facts": result.facts,
        "accepted": result.accepted,
        "established": result.is_established,
        "lower_bound": result.lower_bound,
        "is_proven": result.is_proven,
        "threat": threat_model(result.outcomes, result.eps, result.norm),
        "cost": cost_facts(result),
        "provenance": provenance_rows(result),
        "versions": software_versions(),
    }


def _images(result: AuditResult) -> str:
    data = result.data
    split = f"{data['split']} " if data.get("split") else ""
    name = f" of {data['name']}" if data.get("name") else ""
    return count_text(result.n, f"{split}image") + name


def _class_names(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    if data.get("class_names"):
        return tuple(map(str, data["class_names"]))
    try:
        return dataset_entry(str(data.get("name"))).class_names
    except UnknownNameError:
        return None


def _attack_svg(result: AuditResult, rows: list[AttackRow], chance: float | None) -> Markup:
    description = (
        f"Dot chart of accuracy in percent under {count_text(len(rows), 'attack')}, without "
        "attack and in the worst case, with 95 % intervals; the table below has the values."
    )
    figure = attack_figure(result.clean, rows, result.worst_case, chance)
    return Markup(inline_svg(figure, "attacks", description))


def _surface_svg(result: AuditResult, names: tuple[str, ...] | None) -> Markup | None:
    surfaces = stored_surfaces(result.findings)
    if not surfaces:
        return None
    description = (
        f"Maps of the margin around {count_text(len(surfaces), 'image')}, along the gradient and "
        "along a random direction."
    )
    return Markup(inline_svg(surface_figure(surfaces, result.norm, names), "surface", description))


def _gallery(
    gallery: AuditGallery | None,
    rows: list[AttackRow],
    names: tuple[str, ...] | None,
    result: AuditResult,
) -> dict[str, Any] | None:
    if gallery is None or len(gallery.clean) == 0:
        return None
    titles = {row.name: row.title for row in rows}
    largest = float((gallery.adversarial - gallery.clean).abs().max())
    reach = gallery.eps if result.norm == "linf" else largest
    return {
        "examples": gallery_examples(gallery, names, reach=reach),
        "attacks": [titles.get(name, name) for name in gallery.attacks],
        "reach": "eps" if result.norm == "linf" else f"{reach:.3g}, the largest change shown",
    }


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


def omissions(untested: Sequence[str]) -> list[tuple[str, str]]:
    """Return (what, why), one reason a line, in the order in which the reasons first appear.

    untested: sentences such as "mim-10: part of the standard budget"; one without a colon has
    no reason of its own, and stands alone as what was left out.
    """
    by_reason: dict[str, list[str]] = {}
    for sentence in untested:
        what, colon, why = sentence.partition(": ")
        by_reason.setdefault(why if colon else sentence, []).append(what)
    return [(", ".join(whats), "" if whats == [why] else why) for why, whats in by_reason.items()]


def provenance_rows(result: AuditResult) -> list[tuple[str, str]]:
    """Return (what, value): model, data, settings, versions, with their digests."""
    model, data = _known(result.model), _known(result.data)
    call = f"eps={result.eps!r}, norm={result.norm!r}, budget={result.budget!r}"
    if result.budget is None:
        call += ", attacks=[...]"
    return [
        (
            "in Python",
            f"steadygrad.evaluation.auditing.audit(model, images, labels, {call}, "
            f"batch_size={result.batch_size.size}, seed={result.seed})",
        ),
        *((f"model: {key}", value) for key, value in model),
        *((f"data: {key}", value) for key, value in data),
        ("eps", repr(result.eps)),
        ("norm", {"linf": "L-infinity", "l2": "L2"}[result.norm]),
        ("budget", result.budget or "attacks of the caller's own"),
        *([("minutes", f"{result.minutes:g}")] if result.minutes is not None else []),
        ("seed", str(result.seed)),
        ("device", result.device),
        ("batch size", str(result.batch_size.size)),
        *((name, version) for name, version in result.versions.items()),
        ("finished", result.created),
    ]


def _known(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    texts = {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for key, value in values.items()
        if value is not None
    }
    return [(key.replace("_", " "), text) for key, text in texts.items() if text]

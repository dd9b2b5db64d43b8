"""What the page of an audit shows, gathered from its result as plain values for the template."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from steadygrad.datasets import dataset_entry
from steadygrad.errors import UnknownNameError
from steadygrad.evaluation.auditing.audit_gallery import AuditGallery
from steadygrad.evaluation.auditing.result import AuditResult
from steadygrad.reports.audit.answer import BELIEF, accuracy_sentences
from steadygrad.reports.audit.attack_figure import attack_figure
from steadygrad.reports.audit.attack_rows import AttackRow, attack_rows
from steadygrad.reports.audit.cost import cost_facts
from steadygrad.reports.audit.findings import finding_cards, finding_count_text
from steadygrad.reports.audit.omissions import omissions
from steadygrad.reports.audit.provenance import provenance_rows
from steadygrad.reports.audit.surface_figure import stored_surfaces, surface_figure
from steadygrad.reports.audit.threat_model import radius_text, threat_model
from steadygrad.reports.examples import gallery_examples
from steadygrad.reports.figures import inline_svg
from steadygrad.reports.templating import software_versions
from steadygrad.reports.wording import count_text

__all__ = ["audit_page_contents"]


def audit_page_contents(result: AuditResult, title: str | None) -> dict[str, Any]:
    """Return the template's variables; the same result gives the same values."""
    rows = attack_rows(result.outcomes, result.clean_correct)
    names = _class_names(result.data)
    chance = None if names is None else 1 / len(names)
    belief, answer = BELIEF[result.verdict.level]
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
        "attack_svg": _attack_svg(result, rows, chance),
        "finding_count": finding_count_text(result.findings),
        "findings": finding_cards(result.findings),
        "surface_svg": _surface_svg(result, names),
        "untested": omissions(result.untested),
        "gallery": _gallery(result.gallery, rows, names, result),
        "problems": result.fitness,
        "fatal": [problem for problem in result.fitness if problem.is_fatal],
        "facts": result.facts,
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
        "attack and in the worst case, with 95 % intervals; the values stand in the table below."
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

"""The page of an analysis, one self-contained HTML file."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from steadygrad.evaluation import CovarianceAnalysis, PerturbationStructure
from steadygrad.reports.covariance.figures import DrawnFigure, source_name
from steadygrad.reports.figures import inline_svg
from steadygrad.reports.templating import date_text, software_versions, template_environment
from steadygrad.reports.wording import count_text, eps_text, percent

__all__ = ["length_text", "render_covariance_page", "shift_caution"]

LARGE_SHIFT = 0.1
"""Share of the second moments from which on the mean perturbation is worth a word."""


def render_covariance_page(
    analysis: CovarianceAnalysis,
    record: Mapping[str, Any],
    figures: Mapping[str, DrawnFigure],
    created: datetime,
) -> str:
    """Return the page as text; record: what ``covariance.json`` holds."""
    template = template_environment().get_template("covariance.html.j2")
    dataset, attack = analysis.dataset, analysis.attack
    source = source_name(attack)
    radius = f" of eps {eps_text(attack['eps'])}" if "eps" in attack else ""
    images = count_text(dataset["n"], f"{dataset['split']} image")
    return template.render(
        title=f"Structure of perturbations: {record['run']}",
        about=f"{source} perturbations{radius} on {images} of {dataset['name']}",
        source=source,
        note=dataset["note"],
        caution=shift_caution(analysis.perturbations),
        rows=(
            (f"{source} perturbations", *_row(analysis.perturbations)),
            ("the data", *_row(analysis.data)),
        ),
        summary=_summary(analysis, source),
        no_dense=record["no_dense"],
        files=list(record["files"].items()),
        figures=[
            (drawn, Markup(inline_svg(drawn.figure, stem, drawn.description)))
            for stem, drawn in figures.items()
        ],
        settings=_settings(analysis, record),
        created=date_text(created),
        versions=software_versions(),
    )


def length_text(length: float | None, farthest: int) -> str:
    """Return a decay length: "0.8 px", "above 31 px" if infinite, a dash if there is none."""
    if length is None:
        return "–"
    if math.isinf(length):
        return f"above {farthest}\u00a0px"
    return f"{length:.1f}\u00a0px"


def shift_caution(structure: PerturbationStructure) -> str | None:
    """Return a sentence on perturbations that all push the same way, None if they do not."""
    if structure.shift < LARGE_SHIFT:
        return None
    return (
        f"{percent(structure.shift)} of the perturbations' second moments are their mean: pixels "
        "at an end of the range can change only one way, which correlates them however far apart "
        "they are; the source gradient knows no such end."
    )


def _row(structure: PerturbationStructure) -> tuple[str, str, str]:
    farthest = structure.function.shape[2] - 1
    return (
        length_text(structure.intra_reach, farthest),
        length_text(structure.inter_reach, farthest),
        f"{255 * math.sqrt(structure.pixel_variance):.1f}/255",
    )


def _summary(analysis: CovarianceAnalysis, source: str) -> str:
    perturbations, data = analysis.perturbations, analysis.data
    farthest = data.function.shape[2] - 1
    ours, theirs = (
        length_text(structure.intra_reach, farthest) for structure in (perturbations, data)
    )
    sentence = (
        f"Within a channel, the covariance of {source} perturbations falls to 1/e of its value "
        f"over {ours}, that of the images themselves over {theirs}."
    )
    if perturbations.unchanged:
        sentence += (
            f" {count_text(perturbations.unchanged, 'image')} of {perturbations.count:,} stayed "
            "as they were."
        )
    return sentence


def _settings(analysis: CovarianceAnalysis, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = ((name, value) for name, value in analysis.attack.items() if value is not None)
    return [
        ("network", str(record.get("model", "–"))),
        ("accuracy on these images", percent(analysis.accuracy)),
        *(
            (f"attack: {name}", eps_text(value) if isinstance(value, float) else str(value))
            for name, value in given
        ),
        ("batch size", str(analysis.batch_size)),
        ("seed", str(analysis.seed)),
    ]

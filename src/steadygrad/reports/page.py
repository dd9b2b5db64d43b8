"""The report on several runs as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from steadygrad.evaluation import AccuracyPoint, Gallery
from steadygrad.parts import Setting, part_fields, value_text
from steadygrad.reports.comparison import ComparedRun, Comparison, compare_runs
from steadygrad.reports.figures import cost_figure, inline_svg, robustness_figure, training_figure
from steadygrad.reports.figures.canvas import SeriesStyle, series_styles
from steadygrad.reports.headline import headline
from steadygrad.reports.html import (
    date_text,
    gallery_examples,
    software_versions,
    template_environment,
    write_page,
)
from steadygrad.reports.runs import RunRecord, load_runs
from steadygrad.reports.scope import cautions, tested, untested
from steadygrad.reports.tables import summary_rows
from steadygrad.reports.wording import (
    attack_name,
    count_text,
    disturbance_text,
    enumeration,
    eps_text,
    length_norm,
)
from steadygrad.training import TrainingConfig

__all__ = ["page_contents", "render_report", "write_report"]


def page_contents(runs: Sequence[RunRecord], title: str | None) -> dict[str, Any]:
    """Return the template's variables; the same runs give the same values."""
    comparisons = compare_runs(runs)
    styles = series_styles(run.name for run in runs)
    main, galleries = comparisons[0], _galleries(runs, comparisons)
    names = enumeration([run.name for run in runs])
    return {
        "title": title or _title(runs),
        "run_count": count_text(len(runs), "run"),
        "styles": styles,
        "headline": _headline(runs, main),
        "cautions": cautions(runs, comparisons),
        "comparisons": [
            _comparison(comparison, styles, f"robustness{index}")
            for index, comparison in enumerate(comparisons)
        ],
        "tested": tested(main),
        "untested": untested(runs, comparisons),
        "galleries": galleries,
        "gallery_radii": {gallery["eps"] for gallery in galleries},
        "training_svg": Markup(
            inline_svg(
                training_figure(runs, styles),
                "training",
                f"Line charts of data loss, penalty and accuracy over the epochs of {names}.",
            )
        ),
        "cost_svg": Markup(
            inline_svg(
                cost_figure(runs, styles),
                "cost",
                f"Bar charts of training time per epoch, parameters and multiply-accumulates of "
                f"{names}; the table below has the values.",
            )
        ),
        "runs": runs,
        "differing": _differing_settings(runs),
        "settings": {run.name: _settings(run.config) for run in runs},
        "provenance": {
            run.name: [(key, str(value)) for key, value in run.provenance.items()] for run in runs
        },
        "versions": software_versions(),
    }


def _title(runs: Sequence[RunRecord]) -> str:
    datasets = list(dict.fromkeys(run.config.data_title for run in runs))
    return f"Robustness of {count_text(len(runs), 'run')} on {enumeration(datasets)}"


def _headline(runs: Sequence[RunRecord], main: Comparison) -> list[str]:
    sentences = headline(main)
    if len(runs) > 1 and len(main.entries) == 1:
        return [
            "These runs were evaluated in different ways and cannot be compared with one another.",
            f"Under {main.protocol.name}: {sentences[0]}",
            *sentences[1:],
        ]
    return sentences


def _comparison(
    comparison: Comparison, styles: Mapping[str, SeriesStyle], prefix: str
) -> dict[str, Any]:
    names = enumeration([entry.run.name for entry in comparison.entries])
    description = (
        f"Line chart of accuracy in percent against eps for {names}, with 95 % intervals; "
        "the tables below have the values."
    )
    rows, attack = summary_rows(comparison), comparison.protocol.attack
    every_eps = sorted({eps for e in comparison.entries for eps in e.evaluation.curve.eps_values})
    return {
        "name": comparison.protocol.name,
        "title": comparison.protocol.title,
        "images": comparison.protocol.images_text,
        "disturbance": disturbance_text(attack),
        "svg": Markup(inline_svg(robustness_figure(comparison, styles), prefix, description)),
        "rows": rows,
        "best": _level_with_best(comparison),
        "shown_eps": comparison.shown_eps,
        "middle_eps": comparison.middle_eps,
        "shared_count": len(comparison.shared_eps),
        "every_eps": every_eps,
        "points": [
            (entry.run.name, [_point(entry, eps) for eps in every_eps])
            for entry in comparison.entries
        ],
        "entries": comparison.entries,
        "headline": headline(comparison) if len(comparison.entries) > 1 else [],
        "tested": tested(comparison),
    }


def _level_with_best(comparison: Comparison) -> list[list[bool]]:
    """Say, for clean and each shown eps, which runs cannot be told from the best one."""
    entries, flags = comparison.entries, []
    for eps in (0.0, *comparison.shown_eps):
        if eps not in comparison.shared_eps or len(entries) == 1:
            flags.append([False] * len(entries))
            continue
        best = max(entries, key=lambda entry: entry.point(eps).correct)
        has_any = best.point(eps).correct > 0
        flags.append([has_any and not best.differs_from(entry, eps) for entry in entries])
    return flags


def _point(entry: ComparedRun, eps: float) -> AccuracyPoint | None:
    return next((point for point in entry.points if point.eps == eps), None)


def _galleries(
    runs: Sequence[RunRecord], comparisons: Sequence[Comparison]
) -> list[dict[str, Any]]:
    """Return one gallery a run: that of the first comparison in which it has one."""
    galleries = []
    for run in runs:
        for comparison in comparisons:
            entry = next((e for e in comparison.entries if e.run is run), None)
            gallery = entry.evaluation.gallery if entry is not None else None
            if entry is not None and gallery is not None and len(gallery.clean) > 0:
                galleries.append(_gallery(entry, gallery, comparison))
                break
    return galleries


def _gallery(entry: ComparedRun, gallery: Gallery, comparison: Comparison) -> dict[str, Any]:
    attack, reach = comparison.protocol.attack, None
    if length_norm(attack) is not None:
        # No pixel moves by as much as the whole image: stretched to eps, the changes were grey.
        reach = (gallery.adversarial.double() - gallery.clean.double()).abs().max().item()
    return {
        "run": entry.run.name,
        "eps": eps_text(gallery.eps),
        "attack": attack_name(attack),
        "reach": None if reach is None else f"{reach:.2g}",
        "examples": gallery_examples(gallery, comparison.protocol.class_names, reach=reach),
    }


def _differing_settings(runs: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    """Return the settings that are not the same in all runs, each with its value per run."""
    columns = [_settings(run.config) for run in runs]
    rows = [(row[0][0], [text for _, text in row]) for row in zip(*columns, strict=True)]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _settings(config: TrainingConfig) -> list[tuple[str, str]]:
    """Return every setting as the command line would take it."""
    return [(s.key, _setting_text(getattr(config, s.key), s)) for s in part_fields(config)]


def _setting_text(value: Any, setting: Setting) -> str:
    if setting.family is None or value is None:
        return value_text(value, setting)
    if isinstance(value, tuple):
        return "+".join(map(setting.family.text, value)) or "none"
    text: str = setting.family.text(value)
    return text


def write_report(runs: Sequence[Path | str], out: Path | str, title: str | None = None) -> Path:
    """Write the report on the runs in these folders to the HTML file ``out``; return its path.

    The file holds everything it shows (styles, figures, images), loads nothing and needs no
    script. Apart from its date, the same runs give the same bytes. The folder of ``out`` is made
    if it is missing; an older report is replaced only by a complete new one.
    title: the page's; None describes the runs.
    Raises: CheckpointError, as ``load_run``; HyperparameterError, without runs or with one twice;
        OutputError, if ``out`` cannot be written.
    """
    out, records = Path(out), load_runs(runs)
    write_page(out, render_report(records, title=title, created=datetime.now(UTC)))
    return out


def render_report(runs: Sequence[RunRecord], *, title: str | None, created: datetime) -> str:
    """Return the page as text.

    Raises: HyperparameterError, without runs or with one twice.
    """
    contents = page_contents(runs, title)
    template = template_environment().get_template("report.html.j2")
    return template.render(**contents, created=date_text(created))

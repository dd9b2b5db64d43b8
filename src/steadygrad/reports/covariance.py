"""The folder of an analysis of perturbations: covariances, figures, numbers and a page."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from steadygrad.atomic_file import write_atomically
from steadygrad.covariance import (
    DenseCovariance,
    FixedCovariance,
    StationaryCovariance,
    save_covariance,
)
from steadygrad.errors import OutputError
from steadygrad.evaluation import CovarianceAnalysis, PerturbationStructure
from steadygrad.evaluation.perturbations import too_large
from steadygrad.folder_lock import only_writer
from steadygrad.reports.figures import (
    correlated_samples_figure,
    covariance_function_figure,
    covariance_matrix_figure,
    inline_svg,
    save_figure,
    softmax_line_figure,
)
from steadygrad.reports.html import date_text, software_versions, template_environment, write_page
from steadygrad.reports.wording import attack_name, count_text, eps_text, percent
from steadygrad.versions import library_versions

if TYPE_CHECKING:
    from matplotlib.figure import (
        Figure,
    )

__all__ = [
    "DrawnFigure",
    "covariance_figures",
    "length_text",
    "render_covariance_page",
    "shift_caution",
    "source_name",
    "write_covariance_analysis",
]

RECORD = "covariance.json"
PAGE = "index.html"


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure with its heading, a caption, and a description for those who cannot see it."""

    figure: "Figure"
    heading: str
    caption: str
    description: str


def covariance_figures(analysis: CovarianceAnalysis) -> dict[str, DrawnFigure]:
    """Return the figures by the stem of their files, in order; no matrices where there are none.

    Source: Roth et al., arXiv:1805.08736, Figs. 2, 1, 3 (right) and 6.
    """
    what = f"{source_name(analysis.attack)} perturbations"
    structures = {what: analysis.perturbations, "data": analysis.data}
    samples = analysis.samples
    figures = {
        "functions": DrawnFigure(
            covariance_function_figure(structures),
            "Covariance against distance",
            "Covariance of two pixels against their distance, each divided by the mean variance. "
            "The dots mark decay lengths: where the mean over the channels has fallen to 1/e of "
            "its value at distance 0.",
            f"Line charts of the covariance functions of {what} and of the data; their decay "
            "lengths are in the table.",
        )
    }
    if analysis.perturbations.matrix is not None and analysis.data.matrix is not None:
        figures["matrices"] = DrawnFigure(
            covariance_matrix_figure(structures),
            "Covariance matrices",
            "Above: the centre of the matrix, a quarter trimmed from each side. Below: four rows "
            "of pixels in the middle of the image, enlarged. Each matrix is divided by its largest "
            "entry.",
            f"Covariance matrices of {what} and of the data.",
        )
    figures["noise"] = DrawnFigure(
        correlated_samples_figure(samples, class_names=analysis.class_names),
        "Long-range correlated noise",
        f"Images, the same with noise of standard deviation {eps_text(samples.eps)} and decay "
        f"length ζ in pixels (the worst of {samples.samples} draws), and what the noise changed, "
        "stretched to the full range; below, what the network takes them for.",
        "Images under noise of increasing decay length with the network's predictions.",
    )
    figures["softmax-lines"] = DrawnFigure(
        softmax_line_figure(analysis.lines, analysis.line_labels, class_names=analysis.class_names),
        "Softmax activations along a line",
        "Class probabilities at image + t · perturbation, for "
        f"{source_name(analysis.line_attack)} perturbations of eps "
        f"{eps_text(analysis.line_attack['eps'])}; dotted: the image (0) and its attacked twin "
        "(1). The true class is above each panel. A robust network's lines are flat around 0.",
        "Line charts of class probabilities along lines through images.",
    )
    return figures


def source_name(attack: dict[str, object]) -> str:
    """Return a short name of where perturbations come from: "PGD(10)", "DeepFool"."""
    match attack["name"]:
        case "gradient":
            return "loss gradient"
        case "deepfool":
            return "DeepFool"
        case _:
            return attack_name(attack)


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
        "they are; the source gradient has no such limit."
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


def write_covariance_analysis(
    analysis: CovarianceAnalysis, out: Path | str, *, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the covariances, figures, ``index.html`` and ``covariance.json``; return the latter.

    The covariances are of the perturbations, with a unit mean diagonal: ``stationary.safetensors``
    and ``radial.safetensors`` (the paper's function), made semidefinite; ``dense.safetensors`` up
    to ``DENSE_LIMIT`` pixels. Each figure is there as PNG and SVG. An earlier analysis in the
    folder is replaced; ``covariance.json`` comes last: where it is, everything is.
    about: what network it is of, for ``covariance.json`` and the page; ``run`` is its name.
    Raises: OutputError, if the folder cannot be written or another process writes into it.
    """
    with only_writer(Path(out)):
        return _written(analysis, Path(out), about)


def _written(analysis: CovarianceAnalysis, out: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    _remove_earlier(out)
    files = {
        name: _write(covariance, out / f"{name}.safetensors")
        for name, covariance in _covariances(analysis.perturbations).items()
    }
    figures = covariance_figures(analysis)
    for stem, drawn in figures.items():
        for suffix in ("png", "svg"):
            save_figure(drawn.figure, out / f"{stem}.{suffix}")
            # The layout of the first drawing stands: finding it is half of each further one.
            drawn.figure.set_layout_engine("none")
    record = dict(about) | analysis.to_json()
    record["files"] = files
    record["no_dense"] = None if "dense" in files else too_large(analysis.data.image_shape)
    created = datetime.now(UTC)
    record["created"] = created.isoformat(timespec="seconds")
    record["versions"] = library_versions()
    write_page(out / PAGE, render_covariance_page(analysis, record, figures, created))
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_atomically(out / RECORD, text.encode())
    return record


def _remove_earlier(out: Path) -> None:
    """Remove what describes an earlier analysis, and what this one may not have: its matrices."""
    try:
        for name in (RECORD, PAGE, "dense.safetensors", "matrices.png", "matrices.svg"):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error


def _covariances(structure: PerturbationStructure) -> dict[str, FixedCovariance]:
    covariances: dict[str, FixedCovariance] = {
        "stationary": structure.stationary(),
        "radial": structure.radial(),
    }
    if structure.matrix is not None:
        matrix = structure.matrix.float()  # half the file; estimated from thousands at most
        covariances["dense"] = DenseCovariance(matrix, structure.image_shape, verify=False)
    return covariances


def _write(covariance: FixedCovariance, path: Path) -> dict[str, Any]:
    save_covariance(path, covariance)
    described: dict[str, Any] = {"file": path.name}
    if isinstance(covariance, StationaryCovariance):
        described["repair"] = None if covariance.repair is None else asdict(covariance.repair)
    return described

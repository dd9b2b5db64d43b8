"""An analysis of perturbation structure on disk."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from steadygrad.reports.covariance.figures import covariance_figures
from steadygrad.reports.covariance.page import render_covariance_page
from steadygrad.reports.figures import save_figure
from steadygrad.reports.page_file import write_page
from steadygrad.versions import library_versions

__all__ = ["prepare_folder", "write_covariance_analysis"]


def write_covariance_analysis(
    analysis: CovarianceAnalysis, out: Path | str, *, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the covariances, figures, ``index.html`` and ``covariance.json``; return the latter.

    The covariances are of the perturbations, with a unit mean diagonal: ``stationary.safetensors``
    and ``radial.safetensors`` (the paper's function), made semidefinite; ``dense.safetensors`` up
    to ``DENSE_LIMIT`` pixels. Each figure is there as PNG and SVG. An earlier analysis in the
    folder is replaced; ``covariance.json`` comes last: where it is, everything is.
    about: what network it is of, for ``covariance.json`` and the page; ``run`` is its name.
    Raises: OutputError.
    """
    out = prepare_folder(out)
    files = {
        name: _write(covariance, out / f"{name}.safetensors")
        for name, covariance in _covariances(analysis.perturbations).items()
    }
    if "dense" not in files:
        (out / "dense.safetensors").unlink(missing_ok=True)  # of an earlier, smaller analysis
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
    write_page(out / "index.html", render_covariance_page(analysis, record, figures, created))
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    write_atomically(out / "covariance.json", text.encode())
    return record


def prepare_folder(out: Path | str) -> Path:
    """Make the folder, so that nothing is computed for one that cannot be written.

    Raises: OutputError.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return out


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

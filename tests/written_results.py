"""An experiment from its plan to the folder of its results, as the command line runs it."""

from pathlib import Path
from typing import Any

from steadygrad.experiments import Experiment, Scale, result_folder, run_experiment
from steadygrad.reports.experiments import write_experiment

__all__ = ["written_results"]


def written_results(experiment: Experiment, *, scale: Scale, out: Path, **options: Any) -> Path:
    """Run it to its end and return the folder; options: as of ``run_experiment``."""
    found = run_experiment(experiment, scale=scale, out=out, **options)
    assert found is not None
    folder = result_folder(out, experiment, scale)
    write_experiment(folder, *found)
    return folder

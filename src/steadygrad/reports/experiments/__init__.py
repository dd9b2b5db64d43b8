"""The folder an experiment leaves: figures, tables, our numbers beside the printed ones."""

from steadygrad.reports.experiments.result_folder import (
    ExperimentRecord,
    number_text,
    read_measurements,
    read_record,
    write_experiment,
)
from steadygrad.reports.experiments.run import planned_networks, result_folder, run_experiment

__all__ = [
    "ExperimentRecord",
    "number_text",
    "planned_networks",
    "read_measurements",
    "read_record",
    "result_folder",
    "run_experiment",
    "write_experiment",
]

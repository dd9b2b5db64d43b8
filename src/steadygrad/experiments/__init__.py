"""The papers' figures and tables, each by its name: what it trains, measures and compares."""

from steadygrad.experiments.catalogue import (
    experiment_by_name,
    experiment_names,
    experiment_package,
)
from steadygrad.experiments.chart import (
    Chart,
    ImageGrid,
    LineChart,
    MatrixImage,
    PrintedPoint,
    Series,
    Surface,
)
from steadygrad.experiments.comparison import Compared, ComparisonVerdict, verdict_counts
from steadygrad.experiments.experiment import (
    Artefact,
    Cell,
    Experiment,
    ExperimentOutcome,
    Interval,
    Table,
)
from steadygrad.experiments.measurements import MEASUREMENTS, Measurements
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.experiments.published import published_number, published_numbers, setting_paths
from steadygrad.experiments.run import (
    ExperimentRecord,
    planned_networks,
    result_folder,
    run_experiment,
)
from steadygrad.experiments.scale import SCALES, Scale, scale_by_name
from steadygrad.experiments.training_queue import (
    distinct,
    missing,
    train_networks,
    train_networks_in_processes,
)
from steadygrad.experiments.workbench import NOT_TRAINED, Workbench

__all__ = [
    "MEASUREMENTS",
    "NOT_TRAINED",
    "SCALES",
    "Artefact",
    "Cell",
    "Chart",
    "Compared",
    "ComparisonVerdict",
    "Experiment",
    "ExperimentOutcome",
    "ExperimentRecord",
    "ImageGrid",
    "Interval",
    "LineChart",
    "MatrixImage",
    "Measurements",
    "Network",
    "NetworkStore",
    "PrintedPoint",
    "Scale",
    "Series",
    "Surface",
    "Table",
    "Workbench",
    "distinct",
    "experiment_by_name",
    "experiment_names",
    "experiment_package",
    "missing",
    "planned_networks",
    "published_number",
    "published_numbers",
    "result_folder",
    "run_experiment",
    "scale_by_name",
    "setting_paths",
    "train_networks",
    "train_networks_in_processes",
    "verdict_counts",
]

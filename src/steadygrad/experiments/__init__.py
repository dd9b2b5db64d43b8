"""The papers' figures and tables, each by its name: what it trains, measures and compares."""

from steadygrad.experiments.catalogue import experiment_by_name, experiment_names
from steadygrad.experiments.chart import (
    Chart,
    ImageGrid,
    LineChart,
    PrintedPoint,
    Series,
    Surface,
)
from steadygrad.experiments.comparison import (
    Compared,
    ComparisonVerdict,
    interval_text,
    verdict_counts,
)
from steadygrad.experiments.experiment import Cell, Experiment, ExperimentOutcome, Table
from steadygrad.experiments.measurements import Measurements
from steadygrad.experiments.network import Network, configuration_digest, decisive_settings
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.experiments.published import published_number, published_numbers
from steadygrad.experiments.scale import SCALES, Scale, scale_by_name
from steadygrad.experiments.training_queue import distinct, missing, train_networks
from steadygrad.experiments.workbench import NOT_TRAINED, Workbench

__all__ = [
    "NOT_TRAINED",
    "SCALES",
    "Cell",
    "Chart",
    "Compared",
    "ComparisonVerdict",
    "Experiment",
    "ExperimentOutcome",
    "ImageGrid",
    "LineChart",
    "Measurements",
    "Network",
    "NetworkStore",
    "PrintedPoint",
    "Scale",
    "Series",
    "Surface",
    "Table",
    "Workbench",
    "configuration_digest",
    "decisive_settings",
    "distinct",
    "experiment_by_name",
    "experiment_names",
    "interval_text",
    "missing",
    "published_number",
    "published_numbers",
    "scale_by_name",
    "train_networks",
    "verdict_counts",
]

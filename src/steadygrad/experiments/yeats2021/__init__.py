"""Figures and tables of Yeats, Chen & Li, ICML 2021, one file each."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.yeats2021.contrast_map import ContrastMap
from steadygrad.experiments.yeats2021.counts import Counts
from steadygrad.experiments.yeats2021.white_box import FIGURE6, FIGURE7

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment for experiment in (Counts(), ContrastMap(), FIGURE6, FIGURE7)
}
"""By name, in the paper's order."""

"""Figures and tables of Yeats, Chen & Li, ICML 2021, one file each."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.yeats2021.contrast_map import ContrastMap
from steadygrad.experiments.yeats2021.counts import Counts
from steadygrad.experiments.yeats2021.identical_architecture import FIGURE10
from steadygrad.experiments.yeats2021.independent_networks import (
    SUPPLEMENT_FIGURE2,
    SUPPLEMENT_FIGURE3,
)
from steadygrad.experiments.yeats2021.robustness import FIGURE6, FIGURE7, FIGURE8, FIGURE9

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Counts(),
        ContrastMap(),
        FIGURE6,
        FIGURE7,
        FIGURE8,
        FIGURE9,
        FIGURE10,
        SUPPLEMENT_FIGURE2,
        SUPPLEMENT_FIGURE3,
    )
}
"""By name, in the paper's order."""

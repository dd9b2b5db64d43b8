"""Figures and tables of Yeats, Chen & Li, ICML 2021, one file each."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.yeats2021.contrast_map import ContrastMap
from steadygrad.experiments.yeats2021.counts import Counts
from steadygrad.experiments.yeats2021.departures import Departures
from steadygrad.experiments.yeats2021.filters import Filters
from steadygrad.experiments.yeats2021.identical_architecture import FIGURE10
from steadygrad.experiments.yeats2021.independent_networks import (
    SUPPLEMENT_FIGURE2,
    SUPPLEMENT_FIGURE3,
)
from steadygrad.experiments.yeats2021.loss_and_penalty import LossAndPenalty
from steadygrad.experiments.yeats2021.query_attack import QueryAttack
from steadygrad.experiments.yeats2021.response_surface import ResponseSurface
from steadygrad.experiments.yeats2021.robustness import FIGURE6, FIGURE7, FIGURE8, FIGURE9
from steadygrad.experiments.yeats2021.training_losses import TrainingLosses
from steadygrad.experiments.yeats2021.training_time import TrainingTime
from steadygrad.experiments.yeats2021.transfer import FgsmTransfer
from steadygrad.experiments.yeats2021.update_similarity import UpdateSimilarity

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Counts(),
        ResponseSurface(),
        Filters(),
        ContrastMap(),
        TrainingLosses(),
        UpdateSimilarity(),
        FIGURE6,
        FIGURE7,
        FIGURE8,
        FIGURE9,
        FgsmTransfer(),
        FIGURE10,
        QueryAttack(),
        LossAndPenalty(),
        TrainingTime(),
        SUPPLEMENT_FIGURE2,
        SUPPLEMENT_FIGURE3,
        Departures(),
    )
}
"""By name, in the paper's order; the last is ours."""

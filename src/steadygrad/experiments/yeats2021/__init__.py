"""Figures and tables of Yeats, Chen & Li, ICML 2021: what each of them trains and compares."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.yeats2021.departures import DEPARTURES
from steadygrad.experiments.yeats2021.layers import FIGURE1, FIGURE2, FIGURE3, TABLE1
from steadygrad.experiments.yeats2021.others_examples import NES, TABLE2
from steadygrad.experiments.yeats2021.training import (
    FIGURE4,
    FIGURE5,
    SUPPLEMENT_FIGURE1,
    SUPPLEMENT_TRAINING_TIME,
)
from steadygrad.experiments.yeats2021.white_box import (
    FIGURE6,
    FIGURE7,
    FIGURE8,
    FIGURE9,
    FIGURE10,
    SUPPLEMENT_FIGURE2,
    SUPPLEMENT_FIGURE3,
)

__all__ = ["EXPERIMENTS", "SETTINGS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        TABLE1,
        FIGURE1,
        FIGURE2,
        FIGURE3,
        FIGURE4,
        FIGURE5,
        FIGURE6,
        FIGURE7,
        FIGURE8,
        FIGURE9,
        TABLE2,
        FIGURE10,
        NES,
        SUPPLEMENT_FIGURE1,
        SUPPLEMENT_TRAINING_TIME,
        SUPPLEMENT_FIGURE2,
        SUPPLEMENT_FIGURE3,
        DEPARTURES,
    )
}
"""By name, in the paper's order; the last is ours."""

SETTINGS: Mapping[str, str] = {
    "figure7_fashion_mnist_text/beta": "yeats2021/figure7",
    "table2_fgsm_transfer/epsilon/": "yeats2021/table2",
    "table2_fgsm_transfer/beta_of_gr_networks/": "yeats2021/table2",
    "nes_query_attack/epsilon": "yeats2021/nes",
    "nes_query_attack/steps": "yeats2021/nes",
    "nes_query_attack/queries_per_image": "yeats2021/nes",
}
"""Printed numbers that are no results: what the experiments are run with.

Paths in the data file, or their beginnings up to a "/", and the experiment that uses them. Every
other number of the file is a result, and some experiment's ``Compared``.
"""

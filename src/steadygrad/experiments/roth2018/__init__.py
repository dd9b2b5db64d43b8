"""Figures and tables of Roth, Lucchi, Nowozin & Hofmann (2018), and what goes beyond them."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.roth2018.figures import (
    FIGURE1,
    FIGURE2,
    FIGURE3,
    FIGURE4,
    FIGURE5,
    FIGURE6,
    SECTION43,
)
from steadygrad.experiments.roth2018.tables import (
    DEPARTURES,
    TABLE1_CIFAR10,
    TABLE1_MNIST,
    UNSEEN,
)

__all__ = ["EXPERIMENTS", "SETTINGS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        FIGURE1,
        FIGURE2,
        FIGURE3,
        SECTION43,
        TABLE1_MNIST,
        TABLE1_CIFAR10,
        FIGURE4,
        FIGURE5,
        FIGURE6,
        DEPARTURES,
        UNSEEN,
    )
}
"""By name, in the paper's order; the last two are ours."""

SETTINGS: Mapping[str, str] = {
    "hyper_parameters/mnist/": "roth2018/table1-mnist",
    "hyper_parameters/cifar10/": "roth2018/table1-cifar10",
    "attacks/pgd/steps_white_box": "roth2018/table1-mnist",
    "attacks/pgd/steps_transfer": "roth2018/table1-mnist",
    "attacks/deepfool/": "roth2018/table1-mnist",
    "lrc_attack_cifar10/zeta/": "roth2018/figure3",
    "lrc_attack_cifar10/samples_per_image": "roth2018/figure3",
    "lrc_attack_cifar10/figure3_epsilon": "roth2018/figure3",
    "lrc_attack_cifar10/epsilon_range/": "roth2018/figure4",
    "lrc_attack_cifar10/figure4_zeta": "roth2018/figure4",
    "table3_architecture/": "roth2018/table1-mnist",
}
"""Printed numbers that are no results: what the experiments are run with."""

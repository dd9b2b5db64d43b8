"""A penalty in place of attacks: which settings carry it, how far they go, and against what."""

from collections.abc import Mapping

from steadygrad.experiments.experiment import Experiment
from steadygrad.experiments.recipe.choices import (
    CIFAR10_CHOICE,
    FASHION_MNIST_CHOICE,
    MNIST_CHOICE,
    SVHN_CHOICE,
)
from steadygrad.experiments.recipe.results import (
    MNIST_AUTOATTACK,
    MNIST_AUTOATTACK_RIVALS,
    MNIST_CURVES,
    MNIST_UNSEEN,
    MNIST_WHY,
)

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        MNIST_CHOICE,
        MNIST_CURVES,
        MNIST_AUTOATTACK,
        MNIST_AUTOATTACK_RIVALS,
        MNIST_WHY,
        MNIST_UNSEEN,
        FASHION_MNIST_CHOICE,
        SVHN_CHOICE,
        CIFAR10_CHOICE,
    )
}
"""By name."""

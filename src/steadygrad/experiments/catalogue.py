"""Every experiment by name."""

from collections.abc import Mapping

from steadygrad.errors import UnknownNameError
from steadygrad.experiments import yeats2021
from steadygrad.experiments.experiment import Experiment

__all__ = ["experiment_by_name", "experiment_names"]

_EXPERIMENTS: Mapping[str, Experiment] = {**yeats2021.EXPERIMENTS}


def experiment_names() -> tuple[str, ...]:
    """Return the names of all experiments, in the papers' order."""
    return tuple(_EXPERIMENTS)


def experiment_by_name(name: str) -> Experiment:
    """Return an experiment.

    Raises: UnknownNameError, listing the names.
    """
    if name not in _EXPERIMENTS:
        raise UnknownNameError(
            f"expected experiment one of {', '.join(experiment_names())}, got {name!r}"
        )
    return _EXPERIMENTS[name]

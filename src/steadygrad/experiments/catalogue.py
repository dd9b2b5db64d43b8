"""Every experiment by name."""

from collections.abc import Mapping
from functools import cache

from steadygrad.errors import UnknownNameError
from steadygrad.experiments.experiment import Experiment
from steadygrad.parts import nearest

__all__ = ["experiment_by_name", "experiment_names"]


@cache
def _experiments() -> Mapping[str, Experiment]:
    # Imported when asked: a declaration describes each of its networks.
    from steadygrad.experiments import recipe, roth2018, yeats2021

    return {**yeats2021.EXPERIMENTS, **roth2018.EXPERIMENTS, **recipe.EXPERIMENTS}


def experiment_names() -> tuple[str, ...]:
    """Return the names of all experiments, in the papers' order."""
    return tuple(_experiments())


def experiment_by_name(name: str) -> Experiment:
    """Return an experiment.

    Raises:
        UnknownNameError: there is none of that name; the sentence lists those there are.
    """
    if name not in _experiments():
        raise UnknownNameError(
            f"expected experiment one of {', '.join(experiment_names())}, got {name!r}"
            f"{nearest(name, experiment_names())}"
        )
    return _experiments()[name]

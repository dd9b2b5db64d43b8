"""Every experiment by name: those of the papers, the recipe's, and those of other packages."""

import warnings
from collections.abc import Mapping
from functools import cache

from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.experiments.experiment import Experiment
from steadygrad.parts import Announced, nearest

__all__ = ["experiment_by_name", "experiment_names", "experiment_package"]


@cache
def _experiments() -> Mapping[str, Experiment]:
    # Imported when asked: a declaration describes each of its networks.
    from steadygrad.experiments import recipe, roth2018, yeats2021

    return {**yeats2021.EXPERIMENTS, **roth2018.EXPERIMENTS, **recipe.EXPERIMENTS}


_ANNOUNCED = Announced(
    "experiment", "steadygrad.experiments", lambda: dict.fromkeys(_experiments(), "")
)
"""Those of other packages: each entry point has the name of an experiment, and names the object."""


def experiment_names() -> tuple[str, ...]:
    """Return the names of all experiments, in the papers' order, other packages' last.

    One whose package cannot be loaded is left out, with a warning.
    """
    usable = [*_experiments()]
    for name in _ANNOUNCED.names():
        try:
            _of_package(name)
        except HyperparameterError as error:  # a broken package must not stop the others
            warnings.warn(str(error), stacklevel=2)
        else:
            usable.append(name)
    return tuple(usable)


def experiment_by_name(name: str) -> Experiment:
    """Return an experiment.

    Raises:
        UnknownNameError: there is none of that name; the sentence lists those there are.
        HyperparameterError: the package that announces it cannot be loaded, or announces no
            experiment of that name.
    """
    if name in _experiments():
        return _experiments()[name]
    if name in _ANNOUNCED.names():
        return _of_package(name)
    names = experiment_names()
    raise UnknownNameError(
        f"expected experiment one of {', '.join(names)}, got {name!r}{nearest(name, names)}"
    )


def experiment_package(name: str) -> str | None:
    """Return the package that an experiment is from; None for one of steadygrad's own."""
    return None if name in _experiments() else _ANNOUNCED.package(name)


def _of_package(name: str) -> Experiment:
    found, package = _ANNOUNCED.load(name), _ANNOUNCED.package(name)
    if isinstance(found, type) or not isinstance(found, Experiment):
        raise HyperparameterError(
            f"expected the experiment {name!r} of the package {package} to be an object with name, "
            f"title, networks, printed_paths and measure, got {found!r}"
        )
    if found.name != name:
        raise HyperparameterError(
            f"the experiment {name!r} of the package {package} is called {found.name!r}: expected "
            "the name of its entry point"
        )
    return found

"""What other packages announce as entry points of one group."""

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from steadygrad.errors import HyperparameterError

__all__ = ["Announced"]


class Announced:
    """Objects of other packages, by the names of their entry points, each loaded when asked for.

    Args:
        kind: what one of them is called in sentences, such as "attack".
        group: the entry point group in which packages announce theirs.
        taken: returns the names that belong to others, each with the ``module:object`` it stands
            for; an entry point of that very object is no other one.
    """

    def __init__(self, kind: str, group: str, taken: Callable[[], Mapping[str, str]]) -> None:
        self.kind, self.group = kind, group
        self._taken = taken
        self._broken: dict[str, HyperparameterError] = {}

    def names(self) -> tuple[str, ...]:
        """Return what is announced; of a name that is taken, a warning."""
        return tuple(self._points)

    def package(self, name: str) -> str:
        """Return the package that announces ``name``, one of ``names``."""
        return _package(self._points[name])

    def load(self, name: str) -> Any:
        """Return the object of ``name``, one of ``names``.

        Raises:
            HyperparameterError: its package cannot be imported.
        """
        if name in self._broken:  # its import is not tried again by every question
            raise self._broken[name]
        try:
            return self._points[name].load()
        except (Exception, SystemExit) as error:  # one that ends the program on import, too
            self._broken[name] = HyperparameterError(
                f"the {self.kind} {name!r} of the package {self.package(name)} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            )
            raise self._broken[name] from error

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        taken = self._taken()
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in points or taken.get(point.name, point.value) != point.value:
                warnings.warn(
                    f"the {self.kind} {point.name!r} of the package {_package(point)} is left out: "
                    "there is another one of that name",
                    stacklevel=3,  # beyond the property
                )
            else:
                points[point.name] = point
        return points


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value

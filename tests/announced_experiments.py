"""Experiments of another package, announced as if it were installed."""

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from steadygrad.experiments import ExperimentOutcome, Network, Scale, Workbench, catalogue
from steadygrad.parts import Announced

__all__ = ["Theirs", "announce"]

GROUP = "steadygrad.experiments"


class Theirs:
    title = "a figure of another package"

    def __init__(self, name: str) -> None:
        self.name = name

    def networks(self, scale: Scale, seeds: tuple[int, ...]) -> tuple[Network, ...]:
        return ()

    def printed_paths(self) -> tuple[str, ...]:
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        return ExperimentOutcome(caption="nothing")


def announce(monkeypatch: pytest.MonkeyPatch, announced: Mapping[str, object]) -> None:
    """Announce objects by their names; None is one whose module cannot be imported."""
    package = ModuleType("their_package")
    points = []
    for index, (name, found) in enumerate(announced.items()):
        setattr(package, f"object{index}", found)
        module = "their_package" if found is not None else "no_such_module"
        points.append(EntryPoint(name, f"{module}:object{index}", GROUP))
    monkeypatch.setitem(sys.modules, "their_package", package)
    monkeypatch.setattr("steadygrad.parts.announced.entry_points", lambda group: points)
    fresh = Announced("experiment", GROUP, lambda: dict.fromkeys(catalogue._experiments(), ""))
    monkeypatch.setattr(catalogue, "_ANNOUNCED", fresh)

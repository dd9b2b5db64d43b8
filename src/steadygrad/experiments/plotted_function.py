"""A function of one variable, drawn: no network is trained, nothing is measured."""

from dataclasses import dataclass

from steadygrad.experiments.chart import LineChart
from steadygrad.experiments.experiment import Artefact, ExperimentOutcome
from steadygrad.experiments.workbench import Workbench

__all__ = ["PlottedFunction"]


@dataclass(frozen=True, kw_only=True)
class PlottedFunction(Artefact):
    """A chart that is known beforehand, and what to say below it."""

    title: str
    chart: LineChart
    caption: str

    def measure(self, bench: Workbench) -> ExperimentOutcome:  # noqa: ARG002 - measures no network
        """Return the chart."""
        return ExperimentOutcome(caption=self.caption, charts={self.stem: (self.chart,)})

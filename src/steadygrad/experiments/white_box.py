"""Accuracy under an attack against its radius, network by network, on one data set or several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from steadygrad.attacks import PGD, Attack
from steadygrad.experiments.accuracies import (
    Accuracies,
    accuracy_series,
    accuracy_table,
    measured_accuracies,
)
from steadygrad.experiments.chart import Chart, LineChart, PrintedPoint
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Artefact, ExperimentOutcome, Table
from steadygrad.experiments.matched import at_equal_clean_accuracy, at_equal_time
from steadygrad.experiments.network import Network
from steadygrad.experiments.printed import Printed, PrintedAccuracy, compared_with_print
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_table

__all__ = ["PERCENT_RANGE", "Curves", "SideBySide", "WhiteBox", "pgd_curves"]

PERCENT_RANGE = (-3.0, 103.0)
"""What the axis of accuracies covers, so that panels can be compared."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The attack of a figure, and how it is written about.

    Args:
        attack: at any radius; name: short, for titles and columns; protocol: name and settings,
            for captions.
        eps_values: the radii, ascending; judged_eps: that of them at which networks are compared.
    """

    attack: Attack
    name: str
    protocol: str
    eps_values: tuple[float, ...]
    judged_eps: float

    @property
    def x_label(self) -> str:
        """What stands below the axis of radii."""
        return f"radius eps of {self.name} (share of the pixel range)"

    def radii(self, scale: Scale, needed: Iterable[float] = ()) -> tuple[float, ...]:
        """Return the radii that are attacked at a scale, those that are needed among them."""
        return scale.radii(self.eps_values, [self.judged_eps, *needed])


def pgd_curves(eps_values: tuple[float, ...], judged_eps: float, *, steps: int = 8) -> Curves:
    """Return PGD with a random start; of 8 steps, as Yeats et al. (2021) attack, or more."""
    return Curves(
        attack=PGD(eps=0.0, steps=steps),
        name=f"PGD({steps})",
        protocol=f"PGD({steps}) with a random start, step 1.85 eps / {steps}",
        eps_values=eps_values,
        judged_eps=judged_eps,
    )


@dataclass(frozen=True, kw_only=True)
class WhiteBox(Artefact):
    """One data set's networks under attack: curves, worst case, equal clean accuracy, equal time.

    Args:
        data_title: the data set for people; caution: what keeps results on it from being compared
            with the paper's at any scale, "" for nothing.
        curves: the attack and its radii.
        of_paper: networks of the paper; beyond: ours besides, which have a figure of their own;
            repeated: those of the paper that stand in it too. Of seed 0 and the paper's scale.
        printed: what the paper prints in its text.
        further_worst: radii of the worst case besides the one that networks are judged at.
        titles: of the two figures, after the data set.
    """

    data_title: str
    curves: Curves
    of_paper: tuple[Network, ...]
    further_worst: tuple[float, ...] = ()
    titles: tuple[str, str] = ("the paper's networks", "beyond the paper")
    beyond: tuple[Network, ...] = ()
    repeated: tuple[Network, ...] = ()
    printed: tuple[Printed, ...] = ()
    caution: str = ""

    @property
    def title(self) -> str:
        """What it shows."""
        return f"{self.curves.name} accuracy against radius on {self.data_title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks first, then what goes beyond them, seed by seed."""
        return scale.all_of((*self.of_paper, *self.beyond), seeds)

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with."""
        return tuple(dict.fromkeys(entry.path for entry in self.printed))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every network at every radius, and some images with everything."""
        curves, scale = self.curves, bench.scale
        printed = [entry.eps for entry in self.printed if entry.eps is not None]
        radii = curves.radii(scale, [*printed, *self.further_worst])
        measured = measured_accuracies(
            bench, self.networks(scale, bench.seeds), curves.attack, radii
        )
        found = tuple(measured.values())
        equal_time = at_equal_time(bench, found, curves.name, curves.judged_eps)
        return ExperimentOutcome(
            caption=self._caption(bench),
            charts={**self._charts(measured), f"{self.stem}-matched": equal_time.charts},
            tables={
                self.stem: accuracy_table(self.title, found),
                **self._worst_cases(bench, found),
                f"{self.stem}-equal-clean-accuracy": at_equal_clean_accuracy(
                    found, curves.name, curves.judged_eps
                ),
                f"{self.stem}-equal-time": equal_time.table,
            },
            compared=self.compared(scale, measured),
        )

    def _worst_cases(self, bench: Workbench, found: Sequence[Accuracies]) -> dict[str, Table]:
        radii = (self.curves.judged_eps, *self.further_worst)
        names = [f"{self.stem}-worst-case", *(f"{self.stem}-worst-case-{e:g}" for e in radii[1:])]
        return {
            name: worst_case_table(bench, found, eps, self.data_title, self.curves.name)
            for name, eps in zip(names, radii, strict=True)
        }

    def compared(self, scale: Scale, measured: Mapping[str, Accuracies]) -> tuple[Compared, ...]:
        """Return the printed numbers beside ours; measured: by the networks' variant."""
        return compared_with_print(self.paper, self.printed, measured, scale.obstacle(self.caution))

    def _caption(self, bench: Workbench) -> str:
        scale = bench.scale
        clean = "all test images" if scale.clean is None else f"the first {scale.clean} test images"
        caption = (
            f"{self.data_title}, scale {scale.name}: {self.curves.protocol}, on the first "
            f"{scale.attacked:,} test images; seeds {', '.join(map(str, bench.seeds))}; bands and "
            "bars are 95 % intervals for the choice of images. Clean accuracies in the tables: "
            f"{clean}. Worst case: the first {scale.worst_case} test images."
        )
        if self.caution:
            caption += f" Not comparable with the paper: {self.caution}."
        return caption

    def _charts(self, measured: Mapping[str, Accuracies]) -> dict[str, tuple[LineChart, ...]]:
        """Return the paper's networks, and what goes beyond them, as far as they are trained."""
        of_paper = {network.variant for network in self.of_paper}
        chart = LineChart(
            title=f"{self.data_title}: {self.titles[0]}",
            x_label=self.curves.x_label,
            y_label="accuracy (%)",
            series=tuple(accuracy_series(measured[k]) for k in measured if k in of_paper),
            printed=self._stars(),
            y_range=PERCENT_RANGE,
        )
        more = [variant for variant in measured if variant not in of_paper]
        shown = [*(network.variant for network in self.repeated), *more]
        beyond = replace(
            chart,
            title=f"{self.data_title}: {self.titles[1]}",
            series=tuple(accuracy_series(measured[k]) for k in shown if k in measured),
            printed=(),
        )
        charts = {self.stem: chart} if chart.series else {}
        if more:
            charts[f"{self.stem}-beyond"] = beyond
        return {name: (panel,) for name, panel in charts.items()}

    def _stars(self) -> tuple[PrintedPoint, ...]:
        """Return the printed accuracies of single networks; equal ones share a star."""
        stars: dict[tuple[float, float], list[str]] = {}
        for entry in self.printed:
            if not (isinstance(entry, PrintedAccuracy) and entry.is_marked):
                continue
            if len(entry.networks) == 1:
                place = entry.eps, published_number(self.paper, entry.path)
                stars.setdefault(place, []).append(entry.networks[0].label)
        return tuple(PrintedPoint("; ".join(names), *at) for at, names in stars.items())


@dataclass(frozen=True, kw_only=True)
class SideBySide(Artefact):
    """Several data sets' white-box figures side by side; each panel's files bear its stem."""

    title: str
    panels: tuple[WhiteBox, ...] = field(default=())

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return those of all panels; the data set stands before their labels."""
        return tuple(
            replace(network, label=f"{panel.data_title}: {network.label}")
            for panel in self.panels
            for network in panel.networks(scale, seeds)
        )

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with."""
        return tuple(path for panel in self.panels for path in panel.printed_paths())

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Measure the panels of which a network is trained or was measured earlier."""
        outcomes: list[ExperimentOutcome] = []
        compared: list[Compared] = []
        for panel in self.panels:
            if bench.measurable(panel.networks(bench.scale, bench.seeds)):
                outcomes.append(panel.measure(bench))
                compared += outcomes[-1].compared
            else:
                compared += panel.compared(bench.scale, {})
        return ExperimentOutcome(
            caption=" ".join(outcome.caption for outcome in outcomes),
            charts={
                f"{self.stem}{suffix}": charts
                for suffix in ("", "-beyond")
                if (charts := self._side_by_side(outcomes, suffix))
            },
            tables={name: table for outcome in outcomes for name, table in outcome.tables.items()},
            compared=tuple(compared),
        )

    def _side_by_side(
        self, outcomes: Sequence[ExperimentOutcome], suffix: str
    ) -> tuple[Chart, ...]:
        """Return one figure's charts of every panel that has it."""
        names = [f"{panel.stem}{suffix}" for panel in self.panels]
        return tuple(
            chart
            for outcome in outcomes
            for name in names
            for chart in outcome.charts.get(name, ())
        )

"""Accuracy under the worst of many draws of noise, as one of its settings changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steadygrad.attacks import LongRangeCorrelated
from steadygrad.evaluation import AccuracyPoint
from steadygrad.experiments.accuracies import (
    Accuracies,
    accuracy_series,
    accuracy_table,
    percent_series,
)
from steadygrad.experiments.chart import Chart, LineChart
from steadygrad.experiments.experiment import Artefact, ExperimentOutcome
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_pictures import GALLERY_CAPTION, NoiseGallery, noise_gallery
from steadygrad.experiments.printed import Printed, compared_with_print
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE
from steadygrad.experiments.workbench import Workbench

__all__ = ["NoiseCurves", "NoisePanel"]


@dataclass(frozen=True, kw_only=True)
class NoisePanel:
    """One reading of a figure: a noise for each place on its axis.

    Args:
        stem: of its table; title: of the panel.
        noises: by the place on the axis, ascending.
    """

    stem: str
    title: str
    noises: Mapping[float, LongRangeCorrelated] = field(hash=False)

    def places(self, scale: Scale, needed: Sequence[float]) -> tuple[float, ...]:
        """Return the places that are measured at a scale."""
        return scale.radii(tuple(self.noises), needed)


@dataclass(frozen=True, kw_only=True)
class NoiseCurves(Artefact):
    """Networks under correlated noise: a panel for each reading of what the paper says of it.

    Args:
        data_title: the data set for people; x_label: what stands below the axis.
        x_name: the same, before a number, in tables.
        of_paper: the paper's networks; beyond: ours besides. Of seed 0 and the paper's scale.
        panels: the first is the reading that the paper's numbers are compared with.
        printed: what the paper prints; ``eps`` of each is a place on the axis.
        gallery: images under the noise, and whose predictions stand below them; None for none.
        note: what a reader must know besides, for the caption.
    """

    title: str
    data_title: str
    x_label: str
    x_name: str
    of_paper: tuple[Network, ...]
    beyond: tuple[Network, ...] = ()
    panels: tuple[NoisePanel, ...]
    printed: tuple[Printed, ...] = ()
    gallery: NoiseGallery | None = None
    note: str = ""

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks first, then what goes beyond them, seed by seed."""
        return scale.all_of((*self.of_paper, *self.beyond), seeds)

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with."""
        return tuple(dict.fromkeys(entry.path for entry in self.printed))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Disturb every network's images at every place of every panel."""
        needed = [entry.eps for entry in self.printed if entry.eps is not None]
        measured = {
            panel.stem: self._measured(bench, panel, panel.places(bench.scale, needed))
            for panel in self.panels
        }
        charts: dict[str, Sequence[Chart]] = {
            self.stem: tuple(self._chart(panel, measured[panel.stem]) for panel in self.panels)
        }
        if self.gallery is not None:
            grids = noise_gallery(bench, self.gallery)
            if grids:
                charts[f"{self.stem}-samples"] = grids
        draws = {noise.samples for panel in self.panels for noise in panel.noises.values()}
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: an image counts as correct if "
            f"the network classifies all of {', '.join(map(str, sorted(draws)))} noisy copies "
            f"correctly; first {bench.scale.attacked:,} test images; seeds "
            f"{', '.join(map(str, bench.seeds))}; bands are 95 % intervals for the choice of "
            f"images. {self.note} {GALLERY_CAPTION if self.gallery else ''}".strip(),
            charts=charts,
            tables={
                panel.stem: accuracy_table(
                    f"{self.title}: {panel.title}", measured[panel.stem].values(), self.x_name
                )
                for panel in self.panels
            },
            compared=compared_with_print(
                self.paper,
                self.printed,
                measured[self.panels[0].stem],
                bench.scale.obstacle(""),
            ),
        )

    def _measured(
        self, bench: Workbench, panel: NoisePanel, places: Sequence[float]
    ) -> dict[str, Accuracies]:
        """Return accuracies by variant, a point's ``eps`` being its place on the axis."""
        by_variant: dict[str, list[Network]] = {}
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            by_variant.setdefault(network.variant, []).append(network)

        def point(network: Network, place: float) -> AccuracyPoint:
            noise = panel.noises[place]
            (found,) = bench.points(network, noise, (noise.eps,), bench.scale.attacked)
            return AccuracyPoint(place, found.correct, found.n)

        return {
            variant: Accuracies(
                group[0].label,
                tuple(group),
                tuple(tuple(point(n, place) for place in places) for n in group),
                tuple(bench.clean_accuracy(n) for n in group),
            )
            for variant, group in by_variant.items()
        }

    def _chart(self, panel: NoisePanel, measured: Mapping[str, Accuracies]) -> LineChart:
        places = tuple(panel.noises)
        if len(places) > 1:
            return LineChart(
                title=f"{self.data_title}: {panel.title}",
                x_label=self.x_label,
                y_label="accuracy (%)",
                series=tuple(accuracy_series(one) for one in measured.values()),
                y_range=PERCENT_RANGE,
            )
        return _bars(f"{self.data_title}: {panel.title}", self.x_label, measured)


def _bars(title: str, x_label: str, measured: Mapping[str, Accuracies]) -> LineChart:
    """Return a chart of one place: networks stand below the axis instead."""
    every = list(measured.values())
    attacked = [one.at(one.eps_values[0]) for one in every]
    series = tuple(
        percent_series(label, [at + shift for at in range(len(every))], points, drawn="points")
        for label, shift, points in (
            ("clean", -0.08, [one.clean_accuracy for one in every]),
            ("under the noise", 0.08, attacked),
        )
    )
    return LineChart(
        title=title,
        x_label=x_label,
        y_label="accuracy (%)",
        series=series,
        x_names=tuple(one.label for one in every),
        y_range=PERCENT_RANGE,
    )

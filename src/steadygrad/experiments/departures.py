"""What differences from printed accuracies hang on: one setting changed at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    accuracy_series,
    difference_cell,
    mean_accuracy,
    mean_over_radii,
    measured_accuracies,
    percent_interval,
    percent_series,
)
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Interval, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE, WhiteBox
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_of
from steadygrad.training import TrainingConfig

__all__ = ["AS_HERE", "Change", "Departures", "Question"]

AS_HERE = "as here"


Change: TypeAlias = Callable[[TrainingConfig], TrainingConfig]


def _unchanged(config: TrainingConfig) -> TrainingConfig:
    return config


@dataclass(frozen=True, kw_only=True)
class Question:
    """One network of a figure, and what may be why it is not the paper's.

    Args:
        figure: whose attack, radii and printed numbers are meant; network: of it.
        clean, attacked, mean: where the paper prints its accuracies without attack, at the radius
            that is judged, and on average over the radii; None where it does not.
        changes: what makes another configuration of this one, by what is changed; the unchanged
            network comes first.
    """

    figure: WhiteBox
    network: Network
    clean: str | None = None
    attacked: str | None = None
    mean: str | None = None
    changes: Mapping[str, Change] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The network in words."""
        return f"{self.figure.data_title}: {self.network.label}"

    def variants(self) -> dict[str, Network]:
        """Return the network as it is here, then with each change, by what is changed."""
        return {
            name: Network(f"{self.title}, {name}", change(self.network.config))
            for name, change in {AS_HERE: _unchanged, **self.changes}.items()
        }

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the variants of every seed."""
        return scale.all_of(tuple(self.variants().values()), seeds)

    def printed(self, path: str | None) -> float | None:
        """Return a printed accuracy, in percent; None without a path."""
        return None if path is None else published_number(self.figure.paper, path)


@dataclass(frozen=True)
class _Answer:
    """What was measured for a question: the variants that are trained, by what is changed."""

    question: Question
    measured: Mapping[str, Accuracies]

    @property
    def eps(self) -> float:
        return self.question.figure.curves.judged_eps

    @property
    def attack(self) -> str:
        return self.question.figure.curves.name


@dataclass(frozen=True, kw_only=True)
class Departures(Artefact):
    """Accuracies of networks whose numbers a text prints, and of their variants.

    Args:
        questions: all of figures with the same attack.
    """

    questions: tuple[Question, ...]
    title: str = "what our differences from the paper hang on, one setting at a time"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return every question's networks."""
        return tuple(n for question in self.questions for n in question.networks(scale, seeds))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every variant that is trained."""
        answers = [answer for q in self.questions if (answer := _answer(bench, q)).measured]
        attack = self.questions[0].figure.curves.name
        charts = {
            self.stem: tuple(_chart(answer) for answer in answers),
            f"{self.stem}-curves": tuple(_curves(answer) for answer in answers),
        }
        return ExperimentOutcome(
            caption=f"Scale {bench.scale.name}: clean accuracy, and {attack} with a random start "
            f"on the first {bench.scale.attacked:,} test images; seeds "
            f"{', '.join(map(str, bench.seeds))}. Bars are 95 % intervals for the choice of "
            "images. Each network differs from the first in what its name says. Worst case, "
            f"in the table: of four kinds of attack on the first {bench.scale.worst_case}.",
            charts=charts if answers else {},
            tables={
                self.stem: Table(
                    title=self.title,
                    columns=(
                        "network",
                        "changed",
                        "seeds",
                        "clean",
                        "95 % interval",
                        "paper",
                        "eps",
                        attack,
                        f"95 % interval of {attack}",
                        f"paper's {attack}",
                        "mean over the radii",
                        "95 % interval of the mean",
                        "paper's mean",
                        f"{attack} minus that as here",
                        "95 % interval of the difference",
                        "worst case",
                        "95 % interval of the worst case",
                    ),
                    rows=tuple(row for answer in answers for row in _rows(bench, answer)),
                    note="Accuracies in percent, differences in points. Intervals are for the "
                    "choice of test images; that of a difference is Newcombe's for independent "
                    "samples, on shared images rather too wide.",
                    intervals=(
                        "95 % interval",
                        f"95 % interval of {attack}",
                        "95 % interval of the mean",
                        "95 % interval of the difference",
                        "95 % interval of the worst case",
                    ),
                )
            },
        )


def _answer(bench: Workbench, question: Question) -> _Answer:
    curves = question.figure.curves
    measured = measured_accuracies(
        bench,
        question.networks(bench.scale, bench.seeds),
        curves.attack,
        curves.radii(bench.scale),
    )
    variants = question.variants().items()
    return _Answer(
        question, {name: measured[n.variant] for name, n in variants if n.variant in measured}
    )


def _rows(bench: Workbench, answer: _Answer) -> list[tuple[Cell, ...]]:
    question, eps = answer.question, answer.eps
    here = answer.measured.get(AS_HERE)
    rows: list[tuple[Cell, ...]] = []
    for name, accuracies in answer.measured.items():
        attacked, clean = accuracies.at(eps), accuracies.clean_accuracy
        difference: tuple[Cell, Cell] = (None, None)
        if here is not None and accuracies is not here:
            before = here.at(eps)
            difference = (
                f"{100 * (attacked.accuracy - before.accuracy):+.1f}",
                difference_cell(attacked, before),
            )
        mean = mean_accuracy([mean_over_radii(curve) for curve in accuracies.curves])
        worst = [worst_case_of(bench, network, eps).point for network in accuracies.networks]
        rows.append(
            (
                question.title,
                name,
                len(accuracies.networks),
                *_with_interval(clean),
                question.printed(question.clean),
                f"{eps:.3g}",
                *_with_interval(attacked),
                question.printed(question.attacked),
                *_with_interval(mean),
                question.printed(question.mean),
                *difference,
                *_with_interval(mean_accuracy(worst)),
            )
        )
    return rows


def _with_interval(point: MeanAccuracy) -> tuple[float, Interval]:
    return round(100 * point.accuracy, 1), percent_interval(point)


def _chart(answer: _Answer) -> LineChart:
    question, measured = answer.question, answer.measured
    groups = (
        ("clean", -0.08, [one.clean_accuracy for one in measured.values()], question.clean),
        (answer.attack, 0.08, [one.at(answer.eps) for one in measured.values()], question.attacked),
    )
    series, printed = [], []
    for name, shift, points, path in groups:
        places = [place + shift for place in range(len(measured))]
        series.append(percent_series(name, places, points, drawn="points"))
        value = question.printed(path)
        if value is not None:
            printed += [PrintedPoint("", place, value, series=name) for place in places]
    return LineChart(
        title=f"{question.title}; {answer.attack} at eps {answer.eps:.3g}",
        x_label="what is changed",
        y_label="accuracy (%)",
        series=tuple(series),
        printed=tuple(printed),
        x_names=tuple(
            name.replace(", as", ",\nas").replace(" and ", "\nand ") for name in measured
        ),
    )


def _curves(answer: _Answer) -> LineChart:
    return LineChart(
        title=answer.question.title,
        x_label=answer.question.figure.curves.x_label,
        y_label="accuracy (%)",
        series=tuple(
            replace(accuracy_series(accuracies), label=name)
            for name, accuracies in answer.measured.items()
        ),
        y_range=PERCENT_RANGE,
    )

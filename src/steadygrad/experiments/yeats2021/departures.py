"""What our differences from the printed accuracies hang on: one setting changed at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    accuracy_series,
    difference_interval,
    mean_accuracy,
    measured_accuracies,
    percent_series,
)
from steadygrad.experiments.chart import LineChart, PrintedPoint
from steadygrad.experiments.comparison import interval_text
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.worst_case import worst_case_of
from steadygrad.experiments.yeats2021.printed import PAPER
from steadygrad.experiments.yeats2021.recipes import Kind
from steadygrad.experiments.yeats2021.robustness import FIGURE6, FIGURE7
from steadygrad.experiments.yeats2021.white_box import ATTACK, PERCENT_RANGE, RADIUS_LABEL, WhiteBox

__all__ = ["QUESTIONS", "Departures", "Question"]

AS_HERE = "as here"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One network of a figure, and what may be why it is not the paper's.

    figure, kind, beta: which network; attacked at the figure's ``judged_eps``.
    clean, attacked: where the paper prints the two accuracies, None if it does not.
    changes: settings of ``TrainingConfig`` by what is changed; the unchanged network comes first.
    """

    figure: WhiteBox
    kind: Kind
    beta: float
    clean: str | None = None
    attacked: str | None = None
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The network in words."""
        label = self.figure.recipe.penalised_network(self.kind, self.beta, seed=0).label
        return f"{self.figure.recipe.title}: {label}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the network as it is here, then with each change; labels are the changes'."""
        found = []
        for seed in seeds:
            config = self.figure.recipe.penalised_network(self.kind, self.beta, seed=seed).config
            for name, settings in {AS_HERE: {}, **self.changes}.items():
                label = f"{self.title}, {name}"
                found.append(scale.of(Network(label, replace(config, **settings))))
        return tuple(found)

    def name_of(self, network_label: str) -> str:
        """Return what is changed in one of the networks, by its label."""
        return network_label.removeprefix(f"{self.title}, ")


_PLAIN_MOMENTUM = {"nesterov": False}
_FROZEN = {"second_order": "frozen_phase"} | _PLAIN_MOMENTUM
_NO_NOISE = {"noise": "none"}
_SMALL_INIT = {"model": "yeats2021-mnist-real-small-init"}
_OF_REAL_MNIST: Mapping[str, Mapping[str, Any]] = {
    "plain momentum": _PLAIN_MOMENTUM,
    "short initial weights": _SMALL_INIT,
    "plain momentum and short initial weights, as in the paper's code": _PLAIN_MOMENTUM
    | _SMALL_INIT,
}

QUESTIONS = (
    Question(
        figure=FIGURE6,
        kind="real",
        beta=512,
        clean="figure6_mnist_text/real_clean_beta_512",
        changes=_OF_REAL_MNIST,
    ),
    Question(
        figure=FIGURE6,
        kind="real",
        beta=384,
        clean="figure6_mnist_text/real_clean_beta_384",
        changes=_OF_REAL_MNIST,
    ),
    Question(
        figure=FIGURE6,
        kind="complex",
        beta=512,
        clean="figure6_mnist_text/complex_clean_all_betas",
        changes={"frozen phase and plain momentum, as in the paper's code": _FROZEN},
    ),
    Question(
        figure=FIGURE7,
        kind="real",
        beta=64,
        clean="figure7_fashion_mnist_text/clean_real",
        attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_real",
        changes={
            "plain momentum, as in the paper's code": _PLAIN_MOMENTUM,
            "with the complex network's noise": FIGURE7.recipe.penalised_complex,
        },
    ),
    Question(
        figure=FIGURE7,
        kind="gelu",
        beta=64,
        changes={"with the complex network's noise": FIGURE7.recipe.penalised_complex},
    ),
    Question(
        figure=FIGURE7,
        kind="complex",
        beta=64,
        clean="figure7_fashion_mnist_text/clean_complex",
        attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_complex",
        changes={
            "frozen phase and plain momentum, as in the paper's code": _FROZEN,
            "without noise": _NO_NOISE,
            "frozen phase and plain momentum, without noise": _FROZEN | _NO_NOISE,
            "plain momentum": _PLAIN_MOMENTUM,
        },
    ),
)
"""Momentum, initialisation, noise and second-order rule, as far as paper, code and we disagree."""


@dataclass(frozen=True, kw_only=True)
class Departures:
    """Accuracies of networks whose numbers the text prints, of a smooth twin, and of variants."""

    name: str = "yeats2021/departures"
    questions: tuple[Question, ...] = QUESTIONS

    @property
    def title(self) -> str:
        """What it shows."""
        return "what our differences from the paper hang on, one setting at a time"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return every question's networks."""
        return tuple(n for question in self.questions for n in question.networks(scale, seeds))

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the figures that the numbers belong to compare themselves with them."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Attack every variant that is trained."""
        charts: list[LineChart] = []
        curves: list[LineChart] = []
        rows: list[tuple[Cell, ...]] = []
        for question in self.questions:
            figure = question.figure
            radii = bench.scale.radii(figure.eps_values, [figure.judged_eps])
            networks = question.networks(bench.scale, bench.seeds)
            measured = measured_accuracies(bench, networks, ATTACK, radii)
            if measured:
                charts.append(_chart(question, measured))
                curves.append(_curves(question, measured))
                rows += _rows(bench, question, measured)
        return ExperimentOutcome(
            caption=f"Scale {bench.scale.name}: clean accuracy, and PGD(8) with a random start on "
            f"the first {bench.scale.attacked:,} test images; seeds "
            f"{', '.join(map(str, bench.seeds))}. Bars are 95 % intervals for the choice of "
            "images; stars are the paper's values. Each network differs from the first in what "
            "its name says. Worst case, in the table: of four kinds of attack on the first "
            f"{bench.scale.worst_case}.",
            charts={"departures": charts, "departures-curves": curves} if charts else {},
            tables={
                "departures": Table(
                    title=self.title,
                    columns=(
                        "network",
                        "changed",
                        "seeds",
                        "clean",
                        "95 % interval",
                        "paper",
                        "eps",
                        "PGD(8)",
                        "95 % interval of PGD(8)",
                        "paper's PGD(8)",
                        "PGD(8) minus that as here",
                        "95 % interval of the difference",
                        "worst case",
                        "95 % interval of the worst case",
                    ),
                    rows=tuple(rows),
                    note="Accuracies in percent, differences in points. Intervals are for the "
                    "choice of test images; that of a difference is Newcombe's for independent "
                    "samples, on shared images rather too wide.",
                )
            },
        )


def _printed(path: str | None) -> float | None:
    return None if path is None else published_number(PAPER, path)


def _rows(
    bench: Workbench, question: Question, measured: Mapping[str, Accuracies]
) -> list[tuple[Cell, ...]]:
    eps = question.figure.judged_eps
    here = measured.get(f"{question.title}, {AS_HERE}")
    rows: list[tuple[Cell, ...]] = []
    for label, accuracies in measured.items():
        attacked, clean = accuracies.at(eps), accuracies.clean_accuracy
        difference: tuple[Cell, Cell] = (None, None)
        if here is not None and accuracies is not here:
            before = here.at(eps)
            low, high = difference_interval(attacked, before)
            difference = (
                f"{100 * (attacked.accuracy - before.accuracy):+.1f}",
                interval_text((100 * low, 100 * high)),
            )
        worst = [worst_case_of(bench, network, eps).point for network in accuracies.networks]
        rows.append(
            (
                question.title,
                question.name_of(label),
                len(accuracies.networks),
                *_with_interval(clean),
                _printed(question.clean),
                f"{eps:.3g}",
                *_with_interval(attacked),
                _printed(question.attacked),
                *difference,
                *_with_interval(mean_accuracy(worst)),
            )
        )
    return rows


def _with_interval(point: MeanAccuracy) -> tuple[float, str]:
    return round(100 * point.accuracy, 1), interval_text([100 * bound for bound in point.ci95])


def _chart(question: Question, measured: Mapping[str, Accuracies]) -> LineChart:
    eps = question.figure.judged_eps
    clean, attacked = "clean", "PGD(8)"
    points = {
        clean: [accuracies.clean_accuracy for accuracies in measured.values()],
        attacked: [accuracies.at(eps) for accuracies in measured.values()],
    }
    places = {
        clean: tuple(place - 0.08 for place in range(len(measured))),
        attacked: tuple(place + 0.08 for place in range(len(measured))),
    }
    printed = {clean: _printed(question.clean), attacked: _printed(question.attacked)}
    return LineChart(
        title=f"{question.title}; PGD(8) at eps {eps:.3g}",
        x_label="what is changed",
        y_label="accuracy (%)",
        series=tuple(
            percent_series(name, places[name], group, drawn="points")
            for name, group in points.items()
        ),
        printed=tuple(
            PrintedPoint("", place, value, series=name)
            for name, value in printed.items()
            if value is not None
            for place in places[name]
        ),
        x_names=tuple(
            question.name_of(label).replace(", as", ",\nas").replace(" and ", "\nand ")
            for label in measured
        ),
    )


def _curves(question: Question, measured: Mapping[str, Accuracies]) -> LineChart:
    return LineChart(
        title=question.title,
        x_label=RADIUS_LABEL,
        y_label="accuracy (%)",
        series=tuple(
            replace(accuracy_series(accuracies), label=question.name_of(label))
            for label, accuracies in measured.items()
        ),
        y_range=PERCENT_RANGE,
    )
